import type { Problem } from './problem';

/** The sentences of a problem by where a form shows them: beside one of its fields, or below them all. */
export interface FormProblem<Field extends string> {
  of: (field: Field) => string | null;
  rest: string | null;
}

/** The first of `fields` that a problem is about gets its sentence. */
export function formProblem<Field extends string>(problem: Problem | null, fields: readonly Field[]): FormProblem<Field> {
  const about = fields.find((field) => problem?.path.includes(field)) ?? null;
  return {
    of: (field) => (problem && field === about ? problem.message : null),
    rest: problem && about === null ? problem.message : null,
  };
}
