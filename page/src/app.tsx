// The page: provider, columns, and which thread is open.
import { CopilotKitProvider, useThreads } from "@copilotkit/react-core/v2";
import { useCallback, useEffect, useState } from "react";
import { Bar } from "./bar";
import { runtimeUrl, servesDemo } from "./config";
import { type Runtime, useRecovery, useRuntime } from "./connection";
import { ErrorArea, reportCoreError, reportNotice } from "./errors";
import { NotReady } from "./not-ready";
import { useRoute } from "./route";
import { StatePanel } from "./state-panel";
import { threadAgentId } from "./thread-agent";
import { PAGE_SIZE } from "./thread-row";
import { ThreadView } from "./thread-view";
import { Sidebar } from "./threads";
import { ACTIVITIES } from "./tool-progress";
import { APPROVALS, Tools } from "./tools";

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
      renderActivityMessages={ACTIVITIES}
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

function isAtLeast(width: number): boolean {
  return window.matchMedia(`(min-width: ${width}px)`).matches;
}

/** Which side columns show. They start open where there is room, and get out of the way where there is not. */
function useColumns() {
  const [showSidebar, setShowSidebar] = useState(() => isAtLeast(800));
  const [showState, setShowState] = useState(() => isAtLeast(1180));
  const hideSidebarWhenNarrow = useCallback(() => {
    if (!isAtLeast(800)) setShowSidebar(false);
  }, []);
  return { showSidebar, setShowSidebar, showState, setShowState, hideSidebarWhenNarrow };
}

function useDocumentTitle(name: string | null): void {
  useEffect(() => {
    document.title = name ? `${name} · Jumpseat` : "Jumpseat";
  }, [name]);
}

/** Says so when the agent named in the URL is not the one that answers. */
function useAgentNotice(runtime: Runtime, wanted: string | null, agentId: string): void {
  const missing = runtime.agents.length > 0 && wanted !== agentId ? wanted : null;
  useEffect(() => {
    if (missing) reportNotice("Another agent answers", `This runtime has no agent '${missing}'. This is '${agentId}'.`);
  }, [missing, agentId]);
}

function Workspace({ onConnectAgain }: { onConnectAgain: () => void }) {
  const runtime = useRuntime();
  const { route, openThread, startThread, keepThread, reloadThread } = useRoute();
  const columns = useColumns();
  const [showArchived, setShowArchived] = useState(false);
  const { threadId } = route;
  const agentId = chooseAgent(runtime, route.agentId);
  const agent = runtime.agents.find((candidate) => candidate.id === agentId);
  const threads = useThreads({ agentId, includeArchived: showArchived, limit: PAGE_SIZE });
  const listed = threads.threads.find((thread) => thread.id === threadId);

  // Any answered request makes the client recover by itself, agents and messages kept;
  // a client that never was connected has to start over.
  useRecovery(runtime.state, agent ? threads.refetchThreads : onConnectAgain);
  useAgentNotice(runtime, route.agentId, agentId);
  useDocumentTitle(listed?.name ?? null);
  const keep = useCallback(() => keepThread(agentId, threadId), [keepThread, agentId, threadId]);

  const open = (next: string) => {
    if (next !== threadId) openThread(agentId, next);
    columns.hideSidebarWhenNarrow();
  };
  const start = (nextAgent: string | null) => {
    startThread(nextAgent);
    columns.hideSidebarWhenNarrow();
  };

  return (
    <div
      className="layout"
      data-testid="page"
      data-thread-id={threadId}
      data-agent-id={agentId}
      data-sidebar={columns.showSidebar}
      data-state-panel={columns.showState}
    >
      <Sidebar
        threads={threads}
        openThreadId={threadId}
        runtime={runtime}
        showArchived={showArchived}
        onShowArchived={setShowArchived}
        onClose={() => columns.setShowSidebar(false)}
        onOpen={open}
        onNew={() => start(agent ? agentId : route.agentId)}
        onDeleted={(deleted) => deleted === threadId && startThread(agentId)}
      />
      <main className="main">
        <Bar
          title={listed ? (listed.name ?? "Untitled chat") : route.fresh ? "New chat" : "Chat"}
          runtime={runtime}
          agentId={agentId}
          showSidebar={columns.showSidebar}
          showState={columns.showState}
          onSidebar={columns.setShowSidebar}
          onState={columns.setShowState}
          onAgent={start}
        />
        <ErrorArea openThread={threadAgentId(agentId, threadId)} onReloadThread={reloadThread} />
        {agent ? (
          <ThreadView
            key={`${agentId}/${threadId}/${route.load}`}
            agentId={agentId}
            threadId={threadId}
            fresh={route.fresh}
            isDemo={servesDemo}
            description={agent.description}
            connection={runtime.state}
            onStarted={keep}
            onActivity={threads.refetchThreads}
          />
        ) : (
          <NotReady runtime={runtime} onConnectAgain={onConnectAgain} />
        )}
      </main>
      {columns.showState && (
        <StatePanel
          key={`${agentId}/${threadId}/${route.load}`}
          localAgentId={agent ? threadAgentId(agentId, threadId) : null}
          agentId={agentId}
          threadId={threadId}
          onClose={() => columns.setShowState(false)}
        />
      )}
    </div>
  );
}
