import { paths } from '../api/paths';
import { CopyButton } from '../ui/CopyButton';

/** The query has no double quotes inside, so that it needs no escaping in the shell's single ones. */
const QUERY = 'mutation { createSandbox(input: {}) { sandbox { id name state } userErrors { message } } }';

export function EmptyState({ onCreate }: { onCreate: () => void }) {
  const command = [
    `curl ${paths.graphqlAbsolute()}`,
    `-H "authorization: Bearer $NESTBOX_API_KEY"`,
    `-H 'content-type: application/json'`,
    `-d '${JSON.stringify({ query: QUERY })}'`,
  ].join(' \\\n  ');
  return (
    <section className="empty" aria-labelledby="empty-heading">
      <h2 id="empty-heading">No sandboxes yet</h2>
      <p>A sandbox is a small computer of its own: run anything in it, pause it with its memory, throw it away.</p>
      <button className="button button--primary" type="button" onClick={onCreate}>
        Create the first one
      </button>
      <p className="empty__or">or from a terminal; it appears here by itself:</p>
      <div className="empty__code">
        <pre tabIndex={0} aria-label="curl command">
          {command}
        </pre>
        <CopyButton text={command} what="curl command" />
      </div>
    </section>
  );
}
