/** The mark: a nest box with its round entrance and perch. The name always stands beside it. */
export function Logo() {
  return (
    <span className="logo">
      <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" focusable="false">
        <path className="logo__box" d="M16 2 3 11v17a2 2 0 0 0 2 2h22a2 2 0 0 0 2-2V11z" />
        <circle className="logo__hole" cx="16" cy="16" r="5" />
        <rect className="logo__hole" x="12" y="24.5" width="8" height="2" rx="1" />
      </svg>
      Nestbox
    </span>
  );
}
