// What the person could say next: examples for the demo, the agent's own ideas for whoever switches them on.
import { type Suggestion, useConfigureSuggestions } from "@copilotkit/react-core/v2";
import { useSyncExternalStore } from "react";

const KEY = "jumpseat.suggest";
const INSTRUCTIONS = "Suggest what the person could say next, short and specific to this conversation.";
const listeners = new Set<() => void>();

function remembered(): boolean {
  try {
    return window.localStorage.getItem(KEY) === "on";
  } catch {
    return false;
  }
}

// Off at first: each answer is then followed by one more request to the agent, which may cost something.
let wanted = remembered();

function want(next: boolean): void {
  wanted = next;
  try {
    if (next) window.localStorage.setItem(KEY, "on");
    else window.localStorage.removeItem(KEY);
  } catch {
    // Storage can be switched off; the choice then lasts until the next load.
  }
  for (const listener of listeners) listener();
}

function useWanted(): boolean {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => wanted,
  );
}

export function SuggestSwitch() {
  return (
    <label className="switch" title="Asks the agent after each answer what you could say next">
      <input
        type="checkbox"
        data-testid="suggest-replies"
        checked={useWanted()}
        onChange={(event) => want(event.target.checked)}
      />
      <span aria-hidden="true" />
      Suggest replies
    </label>
  );
}

const EXAMPLES = [
  { title: "Streamed text", message: "Tell me a long story" },
  { title: "A tool in this page", message: "Change the accent colour to teal" },
  { title: "Shared state", message: "Add milk to my list" },
  { title: "Reasoning", message: "Think about rainbows" },
  { title: "An approval", message: "Delete my account" },
  { title: "An interrupt", message: "Book a flight to Lisbon" },
  { title: "A failure", message: "Fail" },
];

/** What the demo agent can be asked, for an empty chat. */
export function Examples({ localAgentId }: { localAgentId: string }) {
  useConfigureSuggestions({
    available: "before-first-message",
    consumerAgentId: localAgentId,
    suggestions: EXAMPLES,
  });
  return null;
}

/** The agent's own suggestions behind each of its answers, while they are switched on. */
export function Replies({ agentId, localAgentId }: { agentId: string; localAgentId: string }) {
  useConfigureSuggestions({
    available: useWanted() ? "after-first-message" : "disabled",
    instructions: INSTRUCTIONS,
    providerAgentId: agentId,
    consumerAgentId: localAgentId,
  });
  return null;
}

interface SuggestionParts {
  suggestions: Suggestion[];
  onSelectSuggestion?: (suggestion: Suggestion, index: number) => void;
}

export function SuggestionCards({ suggestions, onSelectSuggestion }: SuggestionParts) {
  return (
    <ul className="suggestions" data-testid="suggestions">
      {suggestions.map((suggestion, index) => (
        <li key={index}>
          <button
            type="button"
            data-testid="suggestion"
            data-message={suggestion.message}
            data-loading={suggestion.isLoading}
            disabled={!onSelectSuggestion || suggestion.isLoading}
            onClick={() => onSelectSuggestion?.(suggestion, index)}
          >
            <span>{suggestion.title}</span>
            {suggestion.message}
          </button>
        </li>
      ))}
    </ul>
  );
}
