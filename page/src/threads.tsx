// The thread list: open, rename, archive, delete.
import type { useThreads } from "@copilotkit/react-core/v2";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { type Runtime } from "./connection";
import { reportFailure } from "./errors";
import {
  ArchiveIcon,
  CheckIcon,
  CloseIcon,
  Logo,
  PencilIcon,
  PlusIcon,
  TrashIcon,
  UnarchiveIcon,
} from "./icons";

type Threads = ReturnType<typeof useThreads>;
type Thread = Threads["threads"][number];

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const relative = new Intl.RelativeTimeFormat(undefined, { style: "narrow", numeric: "auto" });
const dayMonth = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

function lastActivity(thread: Thread): number {
  return Date.parse(thread.lastRunAt ?? thread.updatedAt ?? thread.createdAt);
}

function ago(time: number): string {
  const passed = Date.now() - time;
  if (!Number.isFinite(passed)) return "";
  if (passed < MINUTE) return "now";
  if (passed < 60 * MINUTE) return relative.format(-Math.floor(passed / MINUTE), "minute");
  if (passed < DAY) return relative.format(-Math.floor(passed / (60 * MINUTE)), "hour");
  if (passed < 7 * DAY) return relative.format(-Math.floor(passed / DAY), "day");
  return dayMonth.format(time);
}

function period(time: number): string {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return "Today";
  if (time >= midnight - DAY) return "Yesterday";
  if (time >= midnight - 7 * DAY) return "Past week";
  return "Older";
}

function byPeriod(threads: Thread[]): [string, Thread[]][] {
  const groups = new Map<string, Thread[]>();
  for (const thread of threads) {
    const label = period(lastActivity(thread));
    groups.set(label, [...(groups.get(label) ?? []), thread]);
  }
  return [...groups];
}

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

interface ThreadRowProps {
  thread: Thread;
  threads: Threads;
  isOpen: boolean;
  onOpen: (threadId: string) => void;
  onDeleted: (threadId: string) => void;
}

function ThreadRow({ thread, threads, isOpen, onOpen, onDeleted }: ThreadRowProps) {
  const [mode, setMode] = useState<"show" | "rename" | "delete">("show");
  const name = thread.name || "Untitled chat";

  const attempt = async (title: string, action: () => Promise<void>) => {
    try {
      await action();
      return true;
    } catch (error) {
      reportFailure(title, error);
      // Renaming and archiving show at once; the list must not keep what the server refused.
      threads.refetchThreads();
      return false;
    }
  };
  const rename = (next: string) => {
    setMode("show");
    if (next && next !== thread.name) {
      void attempt("The thread could not be renamed", () => threads.renameThread(thread.id, next));
    }
  };
  const archive = () =>
    attempt("The thread could not be archived", () => threads.archiveThread(thread.id));
  const unarchive = () =>
    attempt("The thread could not be restored", () => threads.unarchiveThread(thread.id));
  const remove = async () => {
    if (await attempt("The thread could not be deleted", () => threads.deleteThread(thread.id))) {
      onDeleted(thread.id);
    } else {
      setMode("show");
    }
  };

  return (
    <li
      className="thread-item"
      data-testid="thread-item"
      data-thread-id={thread.id}
      data-open={isOpen}
      data-archived={thread.archived}
      data-mode={mode}
    >
      {mode === "rename" && <RenameForm name={thread.name ?? ""} onDone={rename} onCancel={() => setMode("show")} />}
      {mode === "delete" && <DeleteQuestion onDelete={remove} onKeep={() => setMode("show")} />}
      {mode === "show" && (
        <>
          <button
            type="button"
            className="thread-open"
            data-testid="thread-open"
            aria-current={isOpen ? "page" : undefined}
            title={name}
            onClick={() => onOpen(thread.id)}
          >
            <span className="thread-name" data-testid="thread-name" data-unnamed={!thread.name}>
              {name}
            </span>
            {thread.archived && (
              <span className="tag" data-testid="thread-archived">
                Archived
              </span>
            )}
            {!thread.archived && <time>{ago(lastActivity(thread))}</time>}
          </button>
          <div className="thread-actions">
            <RowAction testId="thread-rename" label="Rename" onClick={() => setMode("rename")}>
              <PencilIcon />
            </RowAction>
            {thread.archived ? (
              <RowAction testId="thread-unarchive" label="Restore from archive" onClick={unarchive}>
                <UnarchiveIcon />
              </RowAction>
            ) : (
              <RowAction testId="thread-archive" label="Archive" onClick={archive}>
                <ArchiveIcon />
              </RowAction>
            )}
            <RowAction testId="thread-delete" label="Delete" onClick={() => setMode("delete")}>
              <TrashIcon />
            </RowAction>
          </div>
        </>
      )}
    </li>
  );
}

function RowAction(props: { testId: string; label: string; onClick: () => void; children: React.ReactNode }) {
  return (
    <button
      type="button"
      className="icon-button"
      data-testid={props.testId}
      aria-label={props.label}
      title={props.label}
      onClick={props.onClick}
    >
      {props.children}
    </button>
  );
}

function RenameForm(props: { name: string; onDone: (name: string) => void; onCancel: () => void }) {
  const [value, setValue] = useState(props.name);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    props.onDone(value.trim());
  };
  return (
    <form className="thread-form" onSubmit={submit}>
      <input
        ref={input}
        autoFocus
        data-testid="thread-rename-input"
        aria-label="Name of the chat"
        maxLength={256}
        value={value}
        onChange={(event) => setValue(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && props.onCancel()}
        onBlur={() => props.onDone(value.trim())}
      />
      <button
        type="submit"
        className="icon-button"
        data-testid="thread-rename-save"
        aria-label="Save the name"
        onMouseDown={(event) => event.preventDefault()}
      >
        <CheckIcon />
      </button>
    </form>
  );
}

function DeleteQuestion({ onDelete, onKeep }: { onDelete: () => void; onKeep: () => void }) {
  return (
    <div className="thread-form" role="group" aria-label="Delete this chat?">
      <span className="thread-question">Delete?</span>
      <button type="button" className="button small danger" data-testid="thread-delete-confirm" autoFocus onClick={onDelete}>
        Delete
      </button>
      <button type="button" className="button small" data-testid="thread-delete-cancel" onClick={onKeep}>
        Keep
      </button>
    </div>
  );
}
