interface Props {
  /** What the button that sends says, and what it says meanwhile. */
  send: string;
  sending: string;
  busy: boolean;
  /** What is wrong with no field in particular. */
  problem: string | null;
  onClose: () => void;
}

/** The end of a form in a dialog. */
export function FormButtons({ send, sending, busy, problem, onClose }: Props) {
  return (
    <>
      <p className="field__error" role="alert">
        {problem}
      </p>
      <div className="row-of-buttons">
        <button className="button" type="button" onClick={onClose}>
          Cancel
        </button>
        <button className="button button--primary" type="submit" aria-disabled={busy}>
          {busy ? sending : send}
        </button>
      </div>
    </>
  );
}
