// Whether the runtime answers, and what the page does while it does not.
import { CopilotKitCoreRuntimeConnectionStatus as Status, useCopilotKit } from "@copilotkit/react-core/v2";
import { useEffect, useRef } from "react";
import { runtimeUrl } from "./config";
import { dismissConnectionErrors } from "./errors";
import { THREAD_AGENT_PREFIX } from "./thread-agent";

const PROBE_EVERY_MS = 3000;
const PROBE_LIMIT_MS = 2500;

export type ConnectionState = "connected" | "connecting" | "lost";

export interface RuntimeAgent {
  id: string;
  description: string;
}

export interface Runtime {
  state: ConnectionState;
  version: string | null;
  agents: RuntimeAgent[];
}

export function useRuntime(): Runtime {
  const { copilotkit } = useCopilotKit();
  const status = copilotkit.runtimeConnectionStatus;
  const state =
    status === Status.Connected ? "connected" : status === Status.Error ? "lost" : "connecting";
  const agents = Object.entries(copilotkit.agents)
    .filter(([id]) => !id.startsWith(THREAD_AGENT_PREFIX))
    .map(([id, agent]) => ({ id, description: agent.description ?? "" }));
  return { state, version: copilotkit.runtimeVersion ?? null, agents };
}

async function ask(url: string, init?: RequestInit): Promise<Response> {
  return fetch(url, { ...init, cache: "no-store", signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
}

async function answers(): Promise<boolean> {
  try {
    if ((await ask(`${runtimeUrl}/info`)).ok) return true;
    // A runtime with one route for everything takes the question as an envelope.
    const body = JSON.stringify({ method: "info" });
    return (await ask(runtimeUrl, { method: "POST", headers: { "Content-Type": "application/json" }, body })).ok;
  } catch {
    return false;
  }
}

/** Calls `onAnswer` as soon as a lost runtime answers again. */
export function useRecovery(state: ConnectionState, onAnswer: () => void): void {
  const latest = useRef(onAnswer);
  latest.current = onAnswer;

  useEffect(() => {
    if (state === "connected") dismissConnectionErrors();
    if (state !== "lost") return;
    let asking = false;
    let ended = false;
    const timer = setInterval(async () => {
      if (asking) return;
      asking = true;
      const up = await answers();
      asking = false;
      if (up && !ended) latest.current();
    }, PROBE_EVERY_MS);
    return () => {
      ended = true;
      clearInterval(timer);
    };
  }, [state]);
}

const LABELS: Record<ConnectionState, string> = {
  connected: "Connected",
  connecting: "Connecting…",
  lost: "Connection lost, trying again…",
};

export function ConnectionDot({ state }: { state: ConnectionState }) {
  return (
    <span className="connection" data-testid="connection" data-state={state} role="status">
      <i aria-hidden="true" />
      {LABELS[state]}
    </span>
  );
}
