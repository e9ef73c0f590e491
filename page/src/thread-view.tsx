// One thread: the stock chat on an agent of its own, so that leaving a thread never mixes two conversations.
import {
  CopilotChat,
  CopilotChatConfigurationProvider,
  useAgent,
  useConfigureSuggestions,
  useCopilotKit,
} from "@copilotkit/react-core/v2";
import { useEffect, useMemo, useRef, useState } from "react";
import { type ConnectionState, THREAD_AGENT_PREFIX } from "./connection";
import { dismissConnectionErrors, isLostConnection, reportNotice, reportRunError } from "./errors";
import { Interrupts } from "./interrupts";
import { DEMO_SUGGESTIONS, SuggestionCards, Welcome } from "./welcome";

const REFETCH_AFTER_MS = 150;
const RECONNECT_AFTER_MS = 800;

export function threadAgentId(agentId: string, threadId: string): string {
  return `${THREAD_AGENT_PREFIX}${agentId}:${threadId}`;
}

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
  useThreadEvents({ localAgentId, onStarted, onActivity, onEmpty: () => setStored(false) });
  useReconnect(localAgentId, props.connection);
  useLeave(localAgentId);

  const welcome = useMemo(
    () => ({ className: "welcome", children: Welcome(isDemo ? "" : description) }),
    [isDemo, description],
  );
  return (
    <div className="chat" data-testid="chat" data-thread-id={threadId}>
      <CopilotChatConfigurationProvider
        agentId={localAgentId}
        threadId={threadId}
        hasExplicitThreadId={stored}
        labels={LABELS}
      >
        <Interrupts agentId={localAgentId} />
        {isDemo && !stored && <Suggestions agentId={localAgentId} />}
        <CopilotChat
          autoScroll="pin-to-bottom"
          input={INPUT}
          welcomeScreen={welcome}
          suggestionView={SUGGESTION_VIEW}
        />
      </CopilotChatConfigurationProvider>
    </div>
  );
}

const LABELS = {
  chatInputPlaceholder: "Write a message…",
  chatDisclaimerText: "Enter sends, Shift and Enter start a new line.",
};
const INPUT = { autoFocus: true };
const SUGGESTION_VIEW = { children: SuggestionCards };

function Suggestions({ agentId }: { agentId: string }) {
  useConfigureSuggestions({
    available: "before-first-message",
    consumerAgentId: agentId,
    suggestions: DEMO_SUGGESTIONS,
  });
  return null;
}

interface ThreadEvents {
  localAgentId: string;
  onStarted: () => void;
  onActivity: () => void;
  onEmpty: () => void;
}

function useThreadEvents(props: ThreadEvents): void {
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
      },
      onRunStartedEvent: refetchSoon,
      onRunErrorEvent: ({ event }) => reportRunError(event.message, event.code),
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
function useLeave(localAgentId: string): void {
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
function useReconnect(localAgentId: string, connection: ConnectionState): void {
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
        reportNotice("Connected again", `An answer was cut off. ${forgotten ? FORGOTTEN : KEPT}`);
      }
    }, RECONNECT_AFTER_MS);
    return () => clearTimeout(timer);
  }, [agent, copilotkit, localAgentId, connection, cutRuns]);
}
