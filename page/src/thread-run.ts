// What happens around the runs of the open thread: news for the page, lost connections, leaving.
import { useAgent, useCopilotKit } from "@copilotkit/react-core/v2";
import { useEffect, useRef, useState } from "react";
import type { ConnectionState } from "./connection";
import { dismissConnectionErrors, isLostConnection, reportNotice, reportRunError } from "./errors";

const REFETCH_AFTER_MS = 150;
const RECONNECT_AFTER_MS = 800;

interface ThreadEvents {
  localAgentId: string;
  onStarted: () => void;
  onActivity: () => void;
  /** Loading the thread brought nothing. */
  onEmpty: () => void;
  onSent: () => void;
}

export function useThreadEvents(props: ThreadEvents): void {
  const { agent } = useAgent({ agentId: props.localAgentId, updates: [] });
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const refetchSoon = () => {
      clearTimeout(timer);
      timer = setTimeout(() => latest.current.onActivity(), REFETCH_AFTER_MS);
    };
    const subscription = agent.subscribe({
      onRunInitialized: () => {
        if (agent.messages.length > 0) latest.current.onStarted();
        if (agent.messages.at(-1)?.role === "user") latest.current.onSent();
      },
      onRunStartedEvent: refetchSoon,
      onRunErrorEvent: ({ event }) => reportRunError(latest.current.localAgentId, event.message, event.code),
      onRunFailed: refetchSoon,
      onRunFinalized: () => {
        refetchSoon();
        if (agent.messages.length === 0) latest.current.onEmpty();
      },
    });
    return () => {
      clearTimeout(timer);
      subscription.unsubscribe();
    };
  }, [agent]);
}

/**
 * Ends what this page does for a thread that is left: reading its run, waiting for approvals. The client
 * follows one run at a time; one that still waits would keep the tools of all later runs from working.
 */
export function useLeave(localAgentId: string): void {
  const { copilotkit } = useCopilotKit();
  const { agent } = useAgent({ agentId: localAgentId, updates: [] });
  useEffect(
    () => () => {
      // The run itself goes on: the server keeps it, and opening the thread again shows all of it.
      agent.abortRun = () => {};
      copilotkit.stopAgent({ agent });
      void agent.detachActiveRun();
    },
    [agent, copilotkit],
  );
}

const KEPT = "The thread shows what the server kept of it.";
const FORGOTTEN = "The server does not know this thread any more; the next message tells it what was said here.";

/** After a lost connection, fetches from the thread's log what this page missed. */
export function useReconnect(localAgentId: string, connection: ConnectionState): void {
  const { copilotkit } = useCopilotKit();
  const { agent } = useAgent({ agentId: localAgentId, updates: [] });
  const missed = useRef(false);
  const attempt = useRef<{ failed: boolean } | null>(null);
  const [cutRuns, setCutRuns] = useState(0);

  useEffect(() => {
    const subscription = agent.subscribe({
      onRunFailed: ({ error }) => {
        if (attempt.current) attempt.current.failed = true;
        // A failed attempt waits for the next change of the connection, or for the person.
        if (attempt.current || !isLostConnection(error)) return;
        missed.current = true;
        setCutRuns((count) => count + 1);
      },
    });
    return () => subscription.unsubscribe();
  }, [agent]);

  useEffect(() => {
    if (connection === "lost") missed.current = true;
    if (connection !== "connected" || !missed.current) return;
    // The client first finds out whether the runtime still answers; "lost" cancels this.
    const timer = setTimeout(async () => {
      missed.current = false;
      if (agent.isRunning || agent.messages.length === 0) return;
      const { messages, state } = agent;
      const current = { failed: false };
      attempt.current = current;
      await copilotkit.connectAgent({ agent });
      attempt.current = null;
      const forgotten = agent.messages.length === 0;
      if (forgotten) {
        // A runtime that keeps threads in memory; the next message tells it what was said.
        agent.setMessages([...messages]);
        agent.setState(state);
        copilotkit.reloadSuggestions(localAgentId);
      }
      if (cutRuns > 0 && !current.failed) {
        dismissConnectionErrors();
        reportNotice("Connected again", `An answer was cut off. ${forgotten ? FORGOTTEN : KEPT}`, localAgentId);
      }
    }, RECONNECT_AFTER_MS);
    return () => clearTimeout(timer);
  }, [agent, copilotkit, localAgentId, connection, cutRuns]);
}
