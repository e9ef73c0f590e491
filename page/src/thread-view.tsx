// One thread: the stock chat on an agent of its own, so that leaving a thread never mixes two conversations.
import { CopilotChat, CopilotChatConfigurationProvider, type CopilotChatInput, useAgent } from "@copilotkit/react-core/v2";
import { useMemo, useRef, useState } from "react";
import { ChatInput } from "./chat-input";
import type { ConnectionState } from "./connection";
import { Interrupts } from "./interrupts";
import { MESSAGE_VIEW, RewritingProvider } from "./rewriting";
import { Examples, Replies, SuggestionCards } from "./suggestions";
import { threadAgentId } from "./thread-agent";
import { useLeave, useReconnect, useThreadEvents } from "./thread-run";
import { Welcome } from "./welcome";

interface ThreadViewProps {
  agentId: string;
  threadId: string;
  /** Nothing to load: the thread starts with its first message. */
  fresh: boolean;
  isDemo: boolean;
  description: string;
  connection: ConnectionState;
  onStarted: () => void;
  onActivity: () => void;
}

export function ThreadView(props: ThreadViewProps) {
  const localAgentId = threadAgentId(props.agentId, props.threadId);
  const { isReady } = useAgent({
    agentId: localAgentId,
    runtimeAgentId: props.agentId,
    threadId: props.threadId,
    updates: [],
  });
  if (!isReady) return <div className="chat" />;
  return <OpenThread {...props} localAgentId={localAgentId} />;
}

function OpenThread(props: ThreadViewProps & { localAgentId: string }) {
  const { localAgentId, threadId, isDemo, description, onStarted, onActivity } = props;
  const [stored, setStored] = useState(!props.fresh);
  const view = useRef<HTMLDivElement>(null);
  const showEnd = () =>
    view.current?.querySelector<HTMLButtonElement>("[data-testid=copilot-scroll-to-bottom]")?.click();
  useThreadEvents({ localAgentId, onStarted, onActivity, onEmpty: () => setStored(false), onSent: showEnd });
  useReconnect(localAgentId, props.connection);
  useLeave(localAgentId);

  const welcome = useMemo(
    () => ({ children: Welcome(isDemo ? "" : description) }),
    [isDemo, description],
  );
  return (
    <div ref={view} className="chat" data-testid="chat" data-thread-id={threadId}>
      <CopilotChatConfigurationProvider
        agentId={localAgentId}
        threadId={threadId}
        hasExplicitThreadId={stored}
        labels={LABELS}
      >
        <Interrupts agentId={localAgentId} />
        {isDemo && !stored && <Examples localAgentId={localAgentId} />}
        <Replies agentId={props.agentId} localAgentId={localAgentId} />
        <RewritingProvider localAgentId={localAgentId}>
          <CopilotChat
            autoScroll="pin-to-bottom"
            input={INPUT}
            messageView={MESSAGE_VIEW}
            welcomeScreen={welcome}
            suggestionView={SUGGESTION_VIEW}
          />
        </RewritingProvider>
      </CopilotChatConfigurationProvider>
    </div>
  );
}

// A keyboard on the screen has no use for the hint.
const isTouch = window.matchMedia("(hover: none) and (pointer: coarse)").matches;
const LABELS = {
  chatInputPlaceholder: "Write a message…",
  chatDisclaimerText: isTouch ? "" : "Enter sends, Shift and Enter start a new line.",
};
// The slot asks for the parts of the stock box as well, which nobody takes from here.
const INPUT = ChatInput as typeof CopilotChatInput;
const SUGGESTION_VIEW = { children: SuggestionCards };
