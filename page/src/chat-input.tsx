// The stock text box, except that a message which cannot be sent yet stays in it.
import { CopilotChatInput, type CopilotChatInputProps } from "@copilotkit/react-core/v2";
import { type KeyboardEvent, useEffect, useState } from "react";

/**
 * The stock box empties itself while an answer runs and sends later, without a sign of it; whoever leaves the
 * thread meanwhile loses the message. So Enter waits for the end of the answer here.
 */
export function ChatInput(props: CopilotChatInputProps) {
  const running = props.isRunning ?? false;
  const [held, setHeld] = useState(false);
  useEffect(() => setHeld(false), [running]);

  const hold = (event: KeyboardEvent<HTMLDivElement>) => {
    const sends = event.key === "Enter" && !event.shiftKey && !event.nativeEvent.isComposing;
    const box = event.target;
    if (!running || !sends || !(box instanceof HTMLTextAreaElement) || !box.value.trim()) return;
    event.preventDefault();
    event.stopPropagation();
    setHeld(true);
  };
  return (
    <div className="chat-input" onKeyDownCapture={hold}>
      {held && (
        <p className="held" data-testid="message-held" role="status">
          Not sent yet: send it when the answer is done, or stop the answer.
        </p>
      )}
      <CopilotChatInput {...props} autoFocus />
    </div>
  );
}
