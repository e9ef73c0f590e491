// What a running tool of the server has so far; its result takes the place of that.
import { type ReactActivityMessageRenderer, useAgent, UseAgentUpdate } from "@copilotkit/react-core/v2";
import { z } from "zod";

const progress = z.object({ toolCallId: z.string(), toolName: z.string(), value: z.unknown() });

type Progress = z.infer<typeof progress>;

function ToolProgress({ content }: { content: Progress }) {
  const { agent } = useAgent({ updates: [UseAgentUpdate.OnMessagesChanged] });
  const done = agent.messages.some(
    (message) => message.role === "tool" && message.toolCallId === content.toolCallId,
  );
  if (done) return null;
  const { value } = content;
  return (
    <div className="tool-note" data-testid="tool-progress" role="status">
      <span>
        {content.toolName}: <code>{typeof value === "string" ? value : JSON.stringify(value)}</code>
      </span>
    </div>
  );
}

export const ACTIVITIES = [
  { activityType: "tool-progress", content: progress, render: ToolProgress },
] as unknown as ReactActivityMessageRenderer<unknown>[];
