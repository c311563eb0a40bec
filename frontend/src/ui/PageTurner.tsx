interface Props {
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
  /** Where the page that is shown begins; null for the first one. */
  after: string | null;
  onPage: (after: string | null) => void;
}

/** To the next page of a long list, and back to its first one; nothing when there is only one. */
export function PageTurner({ pageInfo, after, onPage }: Props) {
  if (!pageInfo.hasNextPage && after === null) return null;
  return (
    <div className="row-of-buttons">
      {after !== null && (
        <button
          className="button"
          type="button"
          onClick={() => {
            onPage(null);
          }}
        >
          First page
        </button>
      )}
      {pageInfo.hasNextPage && (
        <button
          className="button"
          type="button"
          onClick={() => {
            onPage(pageInfo.endCursor);
          }}
        >
          Next page
        </button>
      )}
    </div>
  );
}
