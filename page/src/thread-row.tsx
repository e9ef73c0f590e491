// One thread in the list: open, rename, archive, delete.
import type { useThreads } from "@copilotkit/react-core/v2";
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import { reportFailure } from "./errors";
import { ArchiveIcon, CheckIcon, PencilIcon, TrashIcon, UnarchiveIcon } from "./icons";
import { ago, lastActivity } from "./thread-times";

export type Threads = ReturnType<typeof useThreads>;
export type Thread = Threads["threads"][number];

/** How many threads the list asks for at a time. */
export const PAGE_SIZE = 50;

interface ThreadRowProps {
  thread: Thread;
  threads: Threads;
  isOpen: boolean;
  onOpen: (threadId: string) => void;
  onDeleted: (threadId: string) => void;
}

type Mode = "show" | "rename" | "delete";

export function ThreadRow({ thread, threads, isOpen, onOpen, onDeleted }: ThreadRowProps) {
  const [mode, setMode] = useState<Mode>("show");
  const verbs = threadVerbs(thread, threads);

  const rename = (name: string) => {
    setMode("show");
    if (name && name !== thread.name) void verbs.rename(name);
  };
  const remove = async () => {
    if (await verbs.remove()) onDeleted(thread.id);
    else setMode("show");
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
          <ThreadLabel thread={thread} isOpen={isOpen} onOpen={onOpen} />
          <RowActions archived={thread.archived} verbs={verbs} onMode={setMode} />
        </>
      )}
    </li>
  );
}

/** What can be done with a thread. Each resolves to whether it was done, and reports when it was not. */
function threadVerbs(thread: Thread, threads: Threads) {
  const attempt = async (failure: string, action: () => Promise<void>) => {
    try {
      await action();
      // A list that was asked for before the change may still come; asking again makes the client ignore it.
      // Of one that was paged on, though, all but the first page would go.
      if (threads.threads.length <= PAGE_SIZE) threads.refetchThreads();
      return true;
    } catch (error) {
      reportFailure(failure, error);
      // Renaming and archiving show at once; the list must not keep what the server refused.
      threads.refetchThreads();
      return false;
    }
  };
  const { id } = thread;
  return {
    rename: (name: string) => attempt("The thread could not be renamed", () => threads.renameThread(id, name)),
    archive: () => attempt("The thread could not be archived", () => threads.archiveThread(id)),
    unarchive: () => attempt("The thread could not be restored", () => threads.unarchiveThread(id)),
    remove: () => attempt("The thread could not be deleted", () => threads.deleteThread(id)),
  };
}

function ThreadLabel(props: { thread: Thread; isOpen: boolean; onOpen: (threadId: string) => void }) {
  const { thread, isOpen, onOpen } = props;
  const name = thread.name || "Untitled chat";
  return (
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
      {thread.archived ? (
        <span className="tag" data-testid="thread-archived">
          Archived
        </span>
      ) : (
        <time>{ago(lastActivity(thread))}</time>
      )}
    </button>
  );
}

interface RowActionsProps {
  archived: boolean;
  verbs: ReturnType<typeof threadVerbs>;
  onMode: (mode: Mode) => void;
}

function RowActions({ archived, verbs, onMode }: RowActionsProps) {
  return (
    <div className="thread-actions">
      <RowAction testId="thread-rename" label="Rename" onClick={() => onMode("rename")}>
        <PencilIcon />
      </RowAction>
      {archived ? (
        <RowAction testId="thread-unarchive" label="Restore from archive" onClick={verbs.unarchive}>
          <UnarchiveIcon />
        </RowAction>
      ) : (
        <RowAction testId="thread-archive" label="Archive" onClick={verbs.archive}>
          <ArchiveIcon />
        </RowAction>
      )}
      <RowAction testId="thread-delete" label="Delete" onClick={() => onMode("delete")}>
        <TrashIcon />
      </RowAction>
    </div>
  );
}

function RowAction(props: { testId: string; label: string; onClick: () => void; children: ReactNode }) {
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
