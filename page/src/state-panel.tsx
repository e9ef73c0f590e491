// The state that agent and page share, live.
import { useAgent, useCopilotKit, UseAgentUpdate } from "@copilotkit/react-core/v2";
import { useState, useSyncExternalStore } from "react";
import { CheckIcon, ChevronIcon, CloseIcon, CopyIcon } from "./icons";

interface StatePanelProps {
  /** The page's agent of the open thread; null while there is none. */
  localAgentId: string | null;
  agentId: string;
  threadId: string;
  onClose: () => void;
}

export function StatePanel({ localAgentId, agentId, threadId, onClose }: StatePanelProps) {
  const registered = useIsRegistered(localAgentId);
  return (
    <aside className="state" data-testid="state-panel" aria-label="Shared state">
      {localAgentId && registered ? (
        <LiveState localAgentId={localAgentId} onClose={onClose} />
      ) : (
        <StateHead onClose={onClose} />
      )}
      <dl className="facts">
        <dt>Agent</dt>
        <dd data-testid="fact-agent">{agentId}</dd>
        <dt>Thread</dt>
        <dd data-testid="fact-thread">{threadId}</dd>
      </dl>
    </aside>
  );
}

function useIsRegistered(agentId: string | null): boolean {
  const { copilotkit } = useCopilotKit();
  return useSyncExternalStore(
    (listener) => {
      const subscription = copilotkit.subscribe({ onAgentsChanged: listener });
      return () => subscription.unsubscribe();
    },
    () => agentId !== null && agentId in copilotkit.agents,
  );
}

function LiveState({ localAgentId, onClose }: { localAgentId: string; onClose: () => void }) {
  const { agent } = useAgent({
    agentId: localAgentId,
    updates: [UseAgentUpdate.OnStateChanged, UseAgentUpdate.OnRunStatusChanged],
  });
  const state: unknown = agent.state;
  const empty = state === null || state === undefined || (typeof state === "object" && Object.keys(state).length === 0);
  return (
    <>
      <StateHead running={agent.isRunning} copyText={empty ? null : () => JSON.stringify(state, null, 2)} onClose={onClose} />
      <div className="state-body" data-testid="state-json" data-empty={empty}>
        {empty ? (
          <p className="state-empty">
            Nothing shared yet. When an agent sends a state snapshot or a delta, it shows here as it changes.
          </p>
        ) : (
          <JsonNode value={state} depth={0} />
        )}
      </div>
    </>
  );
}

function StateHead(props: { running?: boolean; copyText?: (() => string) | null; onClose: () => void }) {
  return (
    <header className="state-head">
      <h2>Shared state</h2>
      <span className="run-status" data-testid="run-status" data-running={props.running ?? false}>
        {props.running ? "running" : "idle"}
      </span>
      {props.copyText && <CopyButton text={props.copyText} />}
      <button type="button" className="icon-button" data-testid="close-state" aria-label="Hide shared state" onClick={props.onClose}>
        <CloseIcon />
      </button>
    </header>
  );
}

function CopyButton({ text }: { text: () => string }) {
  const [copied, setCopied] = useState(false);
  // The clipboard exists only in secure contexts.
  if (!navigator.clipboard) return null;
  const copy = async () => {
    await navigator.clipboard.writeText(text());
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return (
    <button type="button" className="icon-button" data-testid="copy-state" aria-label="Copy the state as JSON" onClick={copy}>
      {copied ? <CheckIcon /> : <CopyIcon />}
    </button>
  );
}

interface JsonNodeProps {
  name?: string;
  value: unknown;
  depth: number;
}

function JsonNode({ name, value, depth }: JsonNodeProps) {
  if (value !== null && typeof value === "object") return <JsonBranch name={name} value={value} depth={depth} />;
  const shown = JSON.stringify(value) ?? "undefined";
  return (
    <div className="json-row" style={{ paddingInlineStart: `${depth * 14 + 14}px` }}>
      {name !== undefined && <span className="json-key">{name}</span>}
      {/* A new key for a new value restarts the highlight. */}
      <span key={shown} className="json-value" data-type={value === null ? "null" : typeof value}>
        {shown}
      </span>
    </div>
  );
}

const OPEN_DEPTH = 3;
const SHOWN_ENTRIES = 200;

function JsonBranch({ name, value, depth }: JsonNodeProps & { value: object }) {
  const [open, setOpen] = useState(depth < OPEN_DEPTH);
  const entries = Object.entries(value);
  const isList = Array.isArray(value);
  const children = entries
    .slice(0, SHOWN_ENTRIES)
    .map(([key, entry]) => <JsonNode key={key} name={key} value={entry} depth={name === undefined ? depth : depth + 1} />);
  const more = entries.length - SHOWN_ENTRIES;
  if (name === undefined) return <div className="json">{children}</div>;
  return (
    <div>
      <button
        type="button"
        className="json-row json-branch"
        style={{ paddingInlineStart: `${depth * 14}px` }}
        aria-expanded={open}
        data-testid="state-branch"
        onClick={() => setOpen(!open)}
      >
        <ChevronIcon />
        <span className="json-key">{name}</span>
        <span className="json-count">{isList ? `[${entries.length}]` : `{${entries.length}}`}</span>
      </button>
      {open && children}
      {open && more > 0 && <div className="json-row json-count">… {more} more</div>}
    </div>
  );
}
