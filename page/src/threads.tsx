// The side column: new chat, the list of threads, the archive switch.
import { type Runtime } from "./connection";
import { CloseIcon, Logo, PlusIcon } from "./icons";
import { SuggestSwitch } from "./suggestions";
import { ThreadRow, type Threads } from "./thread-row";
import { byPeriod } from "./thread-times";

interface SidebarProps {
  threads: Threads;
  openThreadId: string;
  runtime: Runtime;
  showArchived: boolean;
  onShowArchived: (show: boolean) => void;
  onClose: () => void;
  onOpen: (threadId: string) => void;
  onNew: () => void;
  onDeleted: (threadId: string) => void;
}

export function Sidebar(props: SidebarProps) {
  return (
    <>
      <button type="button" className="scrim" tabIndex={-1} aria-label="Close threads" onClick={props.onClose} />
      <nav className="sidebar" aria-label="Threads">
        <div className="brand">
          <Logo />
          <span>Jumpseat</span>
          <button
            type="button"
            className="icon-button only-narrow"
            data-testid="close-sidebar"
            aria-label="Close threads"
            onClick={props.onClose}
          >
            <CloseIcon />
          </button>
        </div>
        <button type="button" className="button new-thread" data-testid="new-thread" onClick={props.onNew}>
          <PlusIcon /> New chat
        </button>
        <ThreadList {...props} />
        <footer className="sidebar-foot">
          <label className="switch">
            <input
              type="checkbox"
              data-testid="show-archived"
              checked={props.showArchived}
              onChange={(event) => props.onShowArchived(event.target.checked)}
            />
            <span aria-hidden="true" />
            Show archived
          </label>
          <SuggestSwitch />
          {props.runtime.version && (
            <span className="version" data-testid="runtime-version">
              v{props.runtime.version}
            </span>
          )}
        </footer>
      </nav>
    </>
  );
}

function ThreadList({ threads, openThreadId, onOpen, onDeleted }: SidebarProps) {
  const { isLoading, error, fetchMoreError, hasMoreThreads, isFetchingMoreThreads } = threads;
  const rows = threads.threads;
  return (
    <div className="thread-list" data-testid="thread-list" aria-busy={isLoading}>
      {error && (
        <div className="thread-note" data-testid="thread-list-error" role="alert">
          <p>{error.message}</p>
          <button type="button" className="link" data-testid="thread-list-retry" onClick={threads.refetchThreads}>
            Try again
          </button>
        </div>
      )}
      {rows.length === 0 && isLoading && <ThreadSkeleton />}
      {rows.length === 0 && !isLoading && !error && (
        <p className="thread-note" data-testid="thread-list-empty">
          No chats yet. The first message starts one; it stays here after a restart.
        </p>
      )}
      {byPeriod(rows).map(([label, group]) => (
        <section key={label}>
          <h2>{label}</h2>
          <ul>
            {group.map((thread) => (
              <ThreadRow
                key={thread.id}
                thread={thread}
                threads={threads}
                isOpen={thread.id === openThreadId}
                onOpen={onOpen}
                onDeleted={onDeleted}
              />
            ))}
          </ul>
        </section>
      ))}
      {fetchMoreError && <p className="thread-note">{fetchMoreError.message}</p>}
      {hasMoreThreads && (
        <button
          type="button"
          className="link more"
          data-testid="load-more"
          disabled={isFetchingMoreThreads}
          onClick={threads.fetchMoreThreads}
        >
          {isFetchingMoreThreads ? "Loading…" : "Load more"}
        </button>
      )}
    </div>
  );
}

function ThreadSkeleton() {
  return (
    <ul className="skeleton" aria-hidden="true">
      {[72, 54, 64].map((width) => (
        <li key={width} style={{ width: `${width}%` }} />
      ))}
    </ul>
  );
}
