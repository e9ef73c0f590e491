// The bar above the chat: title, agent, connection, and what opens the side columns.
import { servedModel, servesDemo } from "./config";
import { ConnectionDot, type Runtime } from "./connection";
import { PanelIcon, SidebarIcon } from "./icons";

interface BarProps {
  title: string;
  runtime: Runtime;
  agentId: string;
  showSidebar: boolean;
  showState: boolean;
  onSidebar: (show: boolean) => void;
  onState: (show: boolean) => void;
  onAgent: (agentId: string) => void;
}

export function Bar(props: BarProps) {
  const { runtime, agentId, showSidebar, showState } = props;
  return (
    <header className="bar">
      <button
        type="button"
        className="icon-button"
        data-testid="toggle-sidebar"
        aria-label={showSidebar ? "Hide threads" : "Show threads"}
        aria-expanded={showSidebar}
        onClick={() => props.onSidebar(!showSidebar)}
      >
        <SidebarIcon />
      </button>
      <h1 className="bar-title" data-testid="thread-title">
        {props.title}
      </h1>
      {servesDemo && (
        <span className="tag demo" data-testid="demo-badge" title="Answers come from a script, not from a model">
          Demo agent
        </span>
      )}
      {servedModel && (
        <span className="tag" data-testid="model-badge" title="Answers come from this model">
          {servedModel}
        </span>
      )}
      {runtime.agents.length > 1 && <AgentSelect runtime={runtime} agentId={agentId} onSelect={props.onAgent} />}
      <ConnectionDot state={runtime.state} />
      <button
        type="button"
        className="icon-button"
        data-testid="toggle-state"
        aria-label={showState ? "Hide shared state" : "Show shared state"}
        aria-expanded={showState}
        onClick={() => props.onState(!showState)}
      >
        <PanelIcon />
      </button>
    </header>
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
