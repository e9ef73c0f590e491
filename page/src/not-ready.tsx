// What stands in the place of the chat while there is no agent to talk to.
import { runtimeUrl } from "./config";
import type { Runtime } from "./connection";

export function NotReady({ runtime, onConnectAgain }: { runtime: Runtime; onConnectAgain: () => void }) {
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
