import { useId } from 'react';

interface Props {
  label: string;
  autoComplete: 'off' | 'current-password' | 'new-password';
  autoFocus?: boolean;
  placeholder?: string;
  value: string;
  invalid: boolean;
  /** The element that says what is wrong, or what is wanted. */
  describedBy: string;
  onChange: (value: string) => void;
}

/** A line that is not shown while it is typed. It has no name, so that no form can send it anywhere. */
export function SecretField({
  label,
  autoComplete,
  autoFocus = false,
  placeholder = '',
  value,
  invalid,
  describedBy,
  onChange,
}: Props) {
  const id = useId();
  return (
    <div className="field">
      <label className="field__label" htmlFor={id}>
        {label}
      </label>
      <input
        id={id}
        className="input input--mono"
        type="password"
        autoComplete={autoComplete}
        autoFocus={autoFocus}
        spellCheck={false}
        placeholder={placeholder}
        value={value}
        aria-invalid={invalid}
        aria-describedby={describedBy}
        onChange={(event) => {
          onChange(event.target.value);
        }}
      />
    </div>
  );
}
