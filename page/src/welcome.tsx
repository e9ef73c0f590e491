// What an empty chat shows: a greeting, the input, and things to try.
import type { Suggestion } from "@copilotkit/react-core/v2";
import type { ReactElement } from "react";
import { Logo } from "./icons";

export const DEMO_SUGGESTIONS = [
  { title: "Streamed text", message: "Tell me a long story" },
  { title: "A tool in this page", message: "Change the accent colour to teal" },
  { title: "Shared state", message: "Add milk to my list" },
  { title: "Reasoning", message: "Think about rainbows" },
  { title: "An approval", message: "Delete my account" },
  { title: "An interrupt", message: "Book a flight to Lisbon" },
  { title: "A failure", message: "Fail" },
];

interface WelcomeParts {
  input: ReactElement;
  suggestionView: ReactElement;
}

/** The empty chat, as a render function of the stock welcome screen. */
export function Welcome(description: string) {
  return ({ input, suggestionView }: WelcomeParts) => (
    <div className="welcome" data-testid="welcome">
      <div className="welcome-inner">
        <Logo size={44} />
        <h2>What shall we do?</h2>
        <p>
          {description ||
            "Everything said here is a log on the server: reload in the middle of an answer, or restart the server, and it is still there."}
        </p>
        {input}
        {suggestionView}
      </div>
    </div>
  );
}

interface SuggestionParts {
  suggestions: Suggestion[];
  onSelectSuggestion?: (suggestion: Suggestion, index: number) => void;
}

export function SuggestionCards({ suggestions, onSelectSuggestion }: SuggestionParts) {
  return (
    <ul className="suggestions" data-testid="suggestions">
      {suggestions.map((suggestion, index) => (
        <li key={suggestion.title}>
          <button
            type="button"
            data-testid="suggestion"
            data-message={suggestion.message}
            disabled={!onSelectSuggestion}
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
