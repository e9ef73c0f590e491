// What an empty chat shows: a greeting, the input, and things to try.
import type { ReactElement } from "react";
import { Logo } from "./icons";

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
