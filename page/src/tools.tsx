// What the agent can do in this page: change its colour, and ask the person for approval.
import {
  type CopilotKitProviderProps,
  type ReactHumanInTheLoop,
  ToolCallStatus,
  useAgentContext,
  useDefaultRenderTool,
  useFrontendTool,
} from "@copilotkit/react-core/v2";
import { useState } from "react";
import { z } from "zod";
import { isColour, setAccent, useAccent } from "./accent";
import { CheckIcon, CloseIcon, HandIcon } from "./icons";
import { parsed, ToolCard, type ToolCall } from "./tool-card";

const accentArguments = z.object({
  color: z.string().describe("Any CSS colour, for example 'teal' or '#0f766e'"),
});

const approvalArguments = z.object({
  action: z.string().describe("What will be done if the person approves, as a short sentence"),
  details: z.string().optional().describe("What the person should know before deciding"),
});

type ApprovalArguments = z.infer<typeof approvalArguments>;

const confirmAction: ReactHumanInTheLoop<ApprovalArguments> = {
  name: "confirm_action",
  description: "Ask the person to approve an action before it is done. Answers {\"approved\": true} or {\"approved\": false}.",
  parameters: approvalArguments,
  render: ({ args, status, result, respond }) => (
    <ApprovalCard
      args={args}
      waiting={status === ToolCallStatus.Executing}
      result={result}
      onDecide={(approved) => respond?.({ approved })}
    />
  ),
};

// Given to the provider: it keeps open questions by tool call, so that an answer in one thread
// can never reach a question that a run in another thread asked meanwhile. The hook keeps only one.
export const APPROVALS = [confirmAction] as unknown as CopilotKitProviderProps["humanInTheLoop"];

const renderToolCard = (call: ToolCall) => <ToolCard {...call} />;

export function Tools() {
  const { accent } = useAccent();
  useAgentContext({ description: "The accent colour of the page the person is looking at", value: accent });
  useDefaultRenderTool({ render: renderToolCard });

  useFrontendTool({
    name: "change_accent_color",
    description: "Change the accent colour of the page the person is looking at.",
    parameters: accentArguments,
    handler: async ({ color }) => {
      if (typeof color !== "string" || !isColour(color)) {
        return { changed: false, reason: `${JSON.stringify(color)} is not a CSS colour` };
      }
      setAccent(color);
      return { changed: true, color };
    },
    render: ({ args, status, result }) => (
      <AccentNote colour={args.color} done={status === ToolCallStatus.Complete} result={result} />
    ),
  });

  return null;
}

function AccentNote(props: { colour: unknown; done: boolean; result: string | undefined }) {
  const colour = typeof props.colour === "string" ? props.colour : "";
  const refused = parsed(props.result)?.changed === false;
  return (
    <div className="tool-note" data-testid="accent-note" data-done={props.done} data-refused={refused}>
      <i style={{ background: refused ? "transparent" : colour }} aria-hidden="true" />
      {refused ? (
        <span>“{colour}” is not a colour this page knows</span>
      ) : (
        <span>
          {props.done ? "Accent colour is now" : "Changing the accent colour to"} <strong>{colour || "…"}</strong>
        </span>
      )}
    </div>
  );
}

interface ApprovalCardProps {
  args: Partial<ApprovalArguments> & Record<string, unknown>;
  waiting: boolean;
  result: string | undefined;
  onDecide: (approved: boolean) => void;
}

function ApprovalCard({ args, waiting, result, onDecide }: ApprovalCardProps) {
  const [sent, setSent] = useState(false);
  const approved = parsed(result)?.approved;
  const decide = (value: boolean) => {
    setSent(true);
    onDecide(value);
  };
  const { action, details, ...others } = args;
  return (
    <div className="card" data-testid="approval" data-status={result ? "complete" : waiting ? "waiting" : "preparing"}>
      <header>
        <HandIcon />
        <span>Approval needed</span>
        {typeof approved === "boolean" && (
          <span className="verdict" data-testid="approval-verdict" data-approved={approved}>
            {approved ? <CheckIcon /> : <CloseIcon />}
            {approved ? "Approved" : "Declined"}
          </span>
        )}
      </header>
      <p className="card-title">{action || "The agent asks for your approval."}</p>
      {details && <p>{details}</p>}
      <Facts values={others} />
      {!result && (
        <div className="card-actions">
          <button
            type="button"
            className="button primary"
            data-testid="approve"
            disabled={!waiting || sent}
            onClick={() => decide(true)}
          >
            Approve
          </button>
          <button
            type="button"
            className="button"
            data-testid="decline"
            disabled={!waiting || sent}
            onClick={() => decide(false)}
          >
            Decline
          </button>
        </div>
      )}
    </div>
  );
}

/** Arguments an agent sent beyond the known ones, as they are. */
export function Facts({ values }: { values: Record<string, unknown> }) {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined);
  if (entries.length === 0) return null;
  return (
    <dl className="facts">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === "string" ? value : JSON.stringify(value, null, 2)}</dd>
        </div>
      ))}
    </dl>
  );
}
