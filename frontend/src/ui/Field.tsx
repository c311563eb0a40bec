import { useId } from 'react';

interface Props {
  label: string;
  hint: string;
  value: string;
  error: string | null;
  autoFocus?: boolean;
  required?: boolean;
  /** For a number: telephones show their keys for digits. */
  numeric?: boolean;
  /** It shows what cannot be chosen; the hint says why. */
  readOnly?: boolean;
  onChange: (value: string) => void;
}

/** A line of text with its label, its hint and what is wrong with it. */
export function Field({ label, hint, value, error, autoFocus = false, required = false, numeric = false, readOnly = false, onChange }: Props) {
  const ids = { input: useId(), hint: useId(), error: useId() };
  return (
    <div className="field">
      <label className="field__label" htmlFor={ids.input}>
        {label} {!required && !readOnly && <span className="field__optional">optional</span>}
      </label>
      <input
        id={ids.input}
        className="input"
        type="text"
        autoComplete="off"
        autoFocus={autoFocus}
        inputMode={numeric ? 'numeric' : 'text'}
        readOnly={readOnly}
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
