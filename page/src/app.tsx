// The page: provider, columns, and which thread is open.
import { CopilotKitProvider, useThreads } from "@copilotkit/react-core/v2";
import { useCallback, useEffect, useState } from "react";
import { runtimeUrl, servesDemo } from "./config";
import { ConnectionDot, type Runtime, useRecovery, useRuntime } from "./connection";
import { ErrorArea, reportCoreError, reportNotice } from "./errors";
import { PanelIcon, SidebarIcon } from "./icons";
import { useRoute } from "./route";
import { StatePanel } from "./state-panel";
import { threadAgentId, ThreadView } from "./thread-view";
import { Sidebar } from "./threads";
import { APPROVALS, Tools } from "./tools";

const PAGE_SIZE = 50;
const RENDER_EVERY_MS = 40;

export function App() {
  const [attempt, setAttempt] = useState(0);
  const connectAgain = useCallback(() => setAttempt((count) => count + 1), []);
  return (
    <CopilotKitProvider
      key={attempt}
      runtimeUrl={runtimeUrl}
      enableInspector={false}
      humanInTheLoop={APPROVALS}
      defaultThrottleMs={RENDER_EVERY_MS}
      onError={reportCoreError}
    >
      <Tools />
      <Workspace onConnectAgain={connectAgain} />
    </CopilotKitProvider>
  );
}

function chooseAgent(runtime: Runtime, wanted: string | null): string {
  const ids = runtime.agents.map((agent) => agent.id);
  if (wanted && ids.includes(wanted)) return wanted;
  return ids.includes("default") ? "default" : (ids[0] ?? wanted ?? "default");
}

function wide(query: string): boolean {
  return window.matchMedia(query).matches;
}

function Workspace({ onConnectAgain }: { onConnectAgain: () => void }) {
  const runtime = useRuntime();
  const { route, openThread, startThread, keepThread } = useRoute();
  const [showSidebar, setShowSidebar] = useState(() => wide("(min-width: 800px)"));
  const [showState, setShowState] = useState(() => wide("(min-width: 1180px)"));
  const [showArchived, setShowArchived] = useState(false);
  const [reloads, setReloads] = useState(0);

  const agentId = chooseAgent(runtime, route.agentId);
  const agent = runtime.agents.find((candidate) => candidate.id === agentId);
  const threads = useThreads({ agentId, includeArchived: showArchived, limit: PAGE_SIZE });
  const { refetchThreads } = threads;
  const ready = agent !== undefined;

  // Any answered request makes the client recover by itself, agents and messages kept;
  // a client that never was connected has to start over.
  useRecovery(runtime.state, ready ? refetchThreads : onConnectAgain);

  const unknownAgent = runtime.agents.length > 0 && route.agentId !== null && route.agentId !== agentId ? route.agentId : null;
  useEffect(() => {
    if (unknownAgent) reportNotice("Another agent answers", `This runtime has no agent '${unknownAgent}'. This is '${agentId}'.`);
  }, [unknownAgent, agentId]);

  const listed = threads.threads.find((thread) => thread.id === route.threadId);
  const title = listed?.name ?? null;
  useEffect(() => {
    document.title = title ? `${title} · Jumpseat` : "Jumpseat";
  }, [title]);

  const hideSidebarWhenNarrow = () => {
    if (!wide("(min-width: 800px)")) setShowSidebar(false);
  };
  const keep = useCallback(() => keepThread(agentId, route.threadId), [keepThread, agentId, route.threadId]);
  const reloadThread = useCallback(() => setReloads((count) => count + 1), []);

  return (
    <div
      className="layout"
      data-testid="page"
      data-thread-id={route.threadId}
      data-agent-id={agentId}
      data-sidebar={showSidebar}
      data-state-panel={showState}
    >
      <Sidebar
        threads={threads}
        openThreadId={route.threadId}
        runtime={runtime}
        showArchived={showArchived}
        onShowArchived={setShowArchived}
        onClose={() => setShowSidebar(false)}
        onOpen={(threadId) => {
          if (threadId !== route.threadId) openThread(agentId, threadId);
          hideSidebarWhenNarrow();
        }}
        onNew={() => {
          startThread(ready ? agentId : route.agentId);
          hideSidebarWhenNarrow();
        }}
        onDeleted={(threadId) => {
          if (threadId === route.threadId) startThread(agentId);
        }}
      />
      <main className="main">
        <header className="bar">
          <button
            type="button"
            className="icon-button"
            data-testid="toggle-sidebar"
            aria-label={showSidebar ? "Hide threads" : "Show threads"}
            aria-expanded={showSidebar}
            onClick={() => setShowSidebar(!showSidebar)}
          >
            <SidebarIcon />
          </button>
          <h1 className="bar-title" data-testid="thread-title">
            {title ?? (route.fresh && !listed ? "New chat" : "Untitled chat")}
          </h1>
          {servesDemo && (
            <span className="tag demo" data-testid="demo-badge" title="Answers come from a script, not from a model">
              Demo agent
            </span>
          )}
          {runtime.agents.length > 1 && (
            <AgentSelect runtime={runtime} agentId={agentId} onSelect={(next) => startThread(next)} />
          )}
          <ConnectionDot state={runtime.state} />
          <button
            type="button"
            className="icon-button"
            data-testid="toggle-state"
            aria-label={showState ? "Hide shared state" : "Show shared state"}
            aria-expanded={showState}
            onClick={() => setShowState(!showState)}
          >
            <PanelIcon />
          </button>
        </header>
        <ErrorArea onReloadThread={reloadThread} />
        {ready ? (
          <ThreadView
            key={`${agentId}/${route.threadId}/${reloads}`}
            agentId={agentId}
            threadId={route.threadId}
            fresh={route.fresh && reloads === 0}
            isDemo={servesDemo}
            description={agent.description}
            connection={runtime.state}
            onStarted={keep}
            onActivity={refetchThreads}
          />
        ) : (
          <NotReady runtime={runtime} onConnectAgain={onConnectAgain} />
        )}
      </main>
      {showState && (
        <StatePanel
          key={`${agentId}/${route.threadId}`}
          localAgentId={ready ? threadAgentId(agentId, route.threadId) : null}
          agentId={agentId}
          threadId={route.threadId}
          onClose={() => setShowState(false)}
        />
      )}
    </div>
  );
}

function AgentSelect(props: { runtime: Runtime; agentId: string; onSelect: (agentId: string) => void }) {
  return (
    <label className="agent-select">
      <span className="sr-only">Agent</span>
      <select
        data-testid="agent-select"
        value={props.agentId}
        onChange={(event) => props.onSelect(event.target.value)}
      >
        {props.runtime.agents.map(({ id }) => (
          <option key={id} value={id}>
            {id}
          </option>
        ))}
      </select>
    </label>
  );
}

function NotReady({ runtime, onConnectAgain }: { runtime: Runtime; onConnectAgain: () => void }) {
  if (runtime.state === "connecting") {
    return (
      <div className="not-ready" data-testid="connecting">
        <span className="spinner" aria-hidden="true" />
        <p>Connecting to the runtime…</p>
      </div>
    );
  }
  const lost = runtime.state === "lost";
  return (
    <div className="not-ready" data-testid={lost ? "unreachable" : "no-agents"}>
      <h2>{lost ? "The runtime does not answer" : "This runtime has no agents"}</h2>
      <p>
        {lost ? (
          <>
            Nothing usable came back from <code>{runtimeUrl}</code>. The page keeps asking and goes on by itself when the
            server is back.
          </>
        ) : (
          <>Give the runtime at least one agent, then load this page again.</>
        )}
      </p>
      <button type="button" className="button primary" data-testid="connect-again" onClick={onConnectAgain}>
        Try again now
      </button>
    </div>
  );
}
