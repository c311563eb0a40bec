import { useEffect, useState } from 'react';
import { useClient } from 'urql';

import { problemOf, type Problem } from '../api/problem';
import { TemplateChoices } from './documents';
import type { TemplateChoice } from './shape';

export interface Choices {
  templates: readonly TemplateChoice[];
  /** Why not all of them are here. */
  problem: Problem | null;
}

/** All templates that a sandbox can start from, page after page, asked for anew by each form. */
export function useTemplateChoices(): Choices {
  const client = useClient();
  const [choices, setChoices] = useState<Choices>({ templates: [], problem: null });

  useEffect(() => {
    let wanted = true;
    const ask = async (after: string | null, before: readonly TemplateChoice[]): Promise<void> => {
      const { data, error } = await client.query(TemplateChoices, { after }).toPromise();
      if (!wanted) return;
      const templates = [...before, ...(data?.templates.nodes ?? [])];
      setChoices({ templates, problem: error ? problemOf(error) : null });
      if (data?.templates.pageInfo.hasNextPage) await ask(data.templates.pageInfo.endCursor, templates);
    };
    void ask(null, []);
    return () => {
      wanted = false;
    };
  }, [client]);

  return choices;
}
