interface Props {
  /** What it is that goes on. */
  label: string;
  /** How much of `of` is done; null while nobody knows. */
  done: number | null;
  of: number;
  /** The same as a sentence. */
  children: string;
}

/** How far something is, as a bar and in words; what is said is read out as it changes. */
export function ProgressBar({ label, done, of, children }: Props) {
  return (
    <div className="progress">
      <progress className="progress__bar" aria-label={label} max={of} {...(done !== null && { value: done })} />
      <p className="progress__words" role="status">
        {children}
      </p>
    </div>
  );
}
