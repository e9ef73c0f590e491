// Saying something differently, and asking for another answer: the stock buttons, and what they do here.
import {
  CopilotChatAssistantMessage,
  type CopilotChatAssistantMessageProps,
  CopilotChatUserMessage,
  type CopilotChatUserMessageProps,
  useAgent,
  UseAgentUpdate,
  useCopilotKit,
} from "@copilotkit/react-core/v2";
import { createContext, type FormEvent, type KeyboardEvent, type ReactNode, useContext, useEffect, useMemo, useRef, useState } from "react";

type Messages = ReturnType<typeof useAgent>["agent"]["messages"];

interface Rewriting {
  /** False while an answer runs or a question is open: neither can be cut off from here. */
  allowed: boolean;
  edit: (messageId: string, content: string) => void;
  regenerate: (messageId: string) => void;
}

const NOTHING: Rewriting = { allowed: false, edit: () => {}, regenerate: () => {} };
const RewritingContext = createContext<Rewriting>(NOTHING);

/** Offers the buttons to the messages of one chat. */
export function RewritingProvider({ localAgentId, children }: { localAgentId: string; children: ReactNode }) {
  return <RewritingContext value={useRewriting(localAgentId)}>{children}</RewritingContext>;
}

function useRewriting(localAgentId: string): Rewriting {
  const { copilotkit } = useCopilotKit();
  const { agent } = useAgent({ agentId: localAgentId, updates: [UseAgentUpdate.OnRunStatusChanged] });
  const allowed = !agent.isRunning && agent.pendingInterrupts.length === 0;

  return useMemo(() => {
    const runFrom = async (messages: Messages) => {
      const before = [...agent.messages];
      let started = false;
      const subscription = agent.subscribe({ onRunStartedEvent: () => void (started = true) });
      agent.setMessages(messages);
      try {
        await copilotkit.runAgent({ agent });
      } finally {
        subscription.unsubscribe();
      }
      // A run that was refused changed nothing on the server; what was said comes back.
      if (!started) agent.setMessages(before);
    };
    return {
      allowed,
      edit: (messageId, content) => {
        const at = agent.messages.findIndex(({ id }) => id === messageId);
        const message = agent.messages[at];
        // It keeps its id: the server then replaces it in its place, also when it is the first one.
        if (message?.role === "user") void runFrom([...agent.messages.slice(0, at), { ...message, content }]);
      },
      regenerate: (messageId) => {
        const at = agent.messages.findIndex(({ id }) => id === messageId);
        const asked = agent.messages.slice(0, at).findLastIndex(({ role }) => role === "user");
        if (asked >= 0) void runFrom(agent.messages.slice(0, asked + 1));
      },
    };
  }, [agent, copilotkit, allowed]);
}

function AssistantMessage(props: CopilotChatAssistantMessageProps) {
  const { allowed, regenerate } = useContext(RewritingContext);
  return (
    <CopilotChatAssistantMessage {...props} onRegenerate={allowed ? ({ id }) => regenerate(id) : undefined} />
  );
}

function UserMessage(props: CopilotChatUserMessageProps) {
  const { allowed, edit } = useContext(RewritingContext);
  const [editing, setEditing] = useState(false);
  const { id, content } = props.message;
  // What else a message may hold, pictures for example, this page cannot send.
  const text = typeof content === "string" ? content : null;
  if (!editing || !allowed || text === null) {
    const offer = allowed && text !== null;
    return <CopilotChatUserMessage {...props} onEditMessage={offer ? () => setEditing(true) : undefined} />;
  }
  const send = (changed: string) => {
    setEditing(false);
    edit(id, changed);
  };
  return <EditForm text={text} onSend={send} onCancel={() => setEditing(false)} />;
}

function EditForm(props: { text: string; onSend: (text: string) => void; onCancel: () => void }) {
  const [value, setValue] = useState(props.text);
  const box = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    box.current?.focus();
    box.current?.setSelectionRange(value.length, value.length);
    box.current?.form?.scrollIntoView({ block: "nearest" });
  }, []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (value.trim()) props.onSend(value);
  };
  const onKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.key === "Escape") props.onCancel();
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    submit(event);
  };
  return (
    <form className="edit-message" data-testid="edit-message" onSubmit={submit}>
      <textarea
        ref={box}
        data-testid="edit-message-input"
        aria-label="Your message"
        rows={Math.min(8, value.split("\n").length)}
        value={value}
        onChange={(event) => setValue(event.target.value)}
        onKeyDown={onKey}
      />
      <p>Sending this replaces the message, and everything said after it.</p>
      <div className="card-actions">
        <button type="submit" className="button primary" data-testid="edit-message-send" disabled={!value.trim()}>
          Send
        </button>
        <button type="button" className="button" data-testid="edit-message-cancel" onClick={props.onCancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

// The slots ask for the parts of the stock messages as well, which nobody takes from here.
export const MESSAGE_VIEW = {
  assistantMessage: AssistantMessage as typeof CopilotChatAssistantMessage,
  userMessage: UserMessage as typeof CopilotChatUserMessage,
};
