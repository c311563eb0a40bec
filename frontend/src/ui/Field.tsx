import { useId } from 'react';

interface Props {
  label: string;
  hint: string;
  value: string;
  error: string | null;
  autoFocus?: boolean;
  required?: boolean;
  onChange: (value: string) => void;
}

/** A line of text with its label, its hint and what is wrong with it. */
export function Field({ label, hint, value, error, autoFocus = false, required = false, onChange }: Props) {
  const ids = { input: useId(), hint: useId(), error: useId() };
  return (
    <div className="field">
      <label className="field__label" htmlFor={ids.input}>
        {label} {!required && <span className="field__optional">optional</span>}
      </label>
      <input
        id={ids.input}
        className="input"
        type="text"
        autoComplete="off"
        autoFocus={autoFocus}
        spellCheck={false}
        value={value}
        aria-invalid={error !== null}
        aria-describedby={error === null ? ids.hint : `${ids.error} ${ids.hint}`}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      />
      <p className="field__error" id={ids.error} role="alert">
        {error}
      </p>
      <p className="field__hint" id={ids.hint}>
        {hint}
      </p>
    </div>
  );
}
