import { useId } from 'react';

interface Props<T extends string> {
  label: string;
  value: T;
  /** What can be chosen, with the words for each. */
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

/** One of a few things, with its label. */
export function ChoiceField<T extends string>({ label, value, choices, onChange }: Props<T>) {
  const id = useId();
  return (
    <div className="field">
      <label className="field__label" htmlFor={id}>
        {label}
      </label>
      <select
        id={id}
        className="input"
        value={value}
        onChange={(event) => {
          onChange(event.target.value as T);
        }}
      >
        {choices.map(([choice, words]) => (
          <option value={choice} key={choice}>
            {words}
          </option>
        ))}
      </select>
    </div>
  );
}
