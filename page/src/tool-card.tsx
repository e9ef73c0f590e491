// A call of a tool that the page knows nothing about: its name, how it stands, and on demand what went in and out.
import { useAgent, UseAgentUpdate, type useDefaultRenderTool } from "@copilotkit/react-core/v2";
import { ChevronIcon } from "./icons";

type Render = NonNullable<NonNullable<Parameters<typeof useDefaultRenderTool>[0]>["render"]>;
export type ToolCall = Parameters<Render>[0];

/** The object that a result holds, if it holds one. */
export function parsed(result: string | undefined): Record<string, unknown> | null {
  if (!result) return null;
  try {
    const value: unknown = JSON.parse(result);
    return value !== null && typeof value === "object" ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function standing(call: ToolCall, running: boolean): keyof typeof LABELS {
  if (call.status !== "complete") return running ? "running" : "open";
  return parsed(call.result)?.error ? "failed" : "done";
}

const LABELS = { running: "Running", open: "No result yet", failed: "Failed", done: "Done" };

function pretty(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value ?? {}, null, 2);
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

export function ToolCard(call: ToolCall) {
  const { agent } = useAgent({ updates: [UseAgentUpdate.OnRunStatusChanged] });
  const state = standing(call, agent.isRunning);
  return (
    <details
      className="tool-card"
      data-testid="tool-card"
      data-tool-name={call.name}
      data-tool-call-id={call.toolCallId}
      data-state={state}
    >
      <summary>
        <ChevronIcon />
        <span className="tool-name">{call.name}</span>
        <span className="tool-state" data-testid="tool-state">
          {LABELS[state]}
        </span>
      </summary>
      <h4>Arguments</h4>
      <pre>{pretty(call.parameters)}</pre>
      {call.result !== undefined && (
        <>
          <h4>Result</h4>
          <pre>{pretty(call.result)}</pre>
        </>
      )}
    </details>
  );
}
