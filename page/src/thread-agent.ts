// The ids of the page's own agents, one for each thread.

/** Everything in the registry without this prefix comes from the runtime. */
export const THREAD_AGENT_PREFIX = "thread:";

export function threadAgentId(agentId: string, threadId: string): string {
  return `${THREAD_AGENT_PREFIX}${agentId}:${threadId}`;
}
