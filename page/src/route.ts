// The open thread, kept in the URL fragment (#/agent/thread) so that a reload finds it again.
import { useCallback, useEffect, useState } from "react";

export interface Route {
  agentId: string | null;
  threadId: string;
  /** True until a thread has been opened from the list or the URL: nothing to load from the server. */
  fresh: boolean;
  /** Counts up each time the thread is to be loaded anew. */
  load: number;
}

function decode(segment: string | undefined): string | null {
  if (!segment) return null;
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

function parse(hash: string): { agentId: string | null; threadId: string | null } {
  const [agent, thread] = hash.replace(/^#\/?/, "").split("/");
  return { agentId: decode(agent), threadId: decode(thread) };
}

function format(agentId: string | null, threadId?: string): string {
  if (!agentId) return "#/";
  const agent = encodeURIComponent(agentId);
  return threadId ? `#/${agent}/${encodeURIComponent(threadId)}` : `#/${agent}`;
}

function newThreadId(): string {
  // randomUUID exists only in secure contexts; a dev server on a LAN address is not one.
  if (typeof crypto.randomUUID === "function") return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function routeFromUrl(): Route {
  const { agentId, threadId } = parse(window.location.hash);
  if (threadId) return { agentId, threadId, fresh: false, load: 0 };
  return { agentId, threadId: newThreadId(), fresh: true, load: 0 };
}

export function useRoute() {
  const [route, setRoute] = useState(routeFromUrl);

  useEffect(() => {
    const onHashChange = () =>
      setRoute((current) => {
        const next = parse(window.location.hash);
        if (next.threadId === current.threadId && next.agentId === current.agentId) return current;
        return routeFromUrl();
      });
    window.addEventListener("hashchange", onHashChange);
    return () => window.removeEventListener("hashchange", onHashChange);
  }, []);

  const openThread = useCallback((agentId: string, threadId: string) => {
    window.history.pushState(null, "", format(agentId, threadId));
    setRoute({ agentId, threadId, fresh: false, load: 0 });
  }, []);

  const startThread = useCallback((agentId: string | null) => {
    window.history.pushState(null, "", format(agentId));
    setRoute({ agentId, threadId: newThreadId(), fresh: true, load: 0 });
  }, []);

  const keepThread = useCallback((agentId: string, threadId: string) => {
    window.history.replaceState(null, "", format(agentId, threadId));
  }, []);

  const reloadThread = useCallback(() => {
    setRoute((current) => ({ ...current, fresh: false, load: current.load + 1 }));
  }, []);

  return { route, openThread, startThread, keepThread, reloadThread };
}
