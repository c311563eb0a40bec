import { useSyncExternalStore } from 'react';

import { sandboxOfFragment } from '../api/paths';

function listen(listener: () => void): () => void {
  addEventListener('hashchange', listener);
  return () => {
    removeEventListener('hashchange', listener);
  };
}

/** The id of the sandbox that is open beside the table, from the address: it survives a reload and works with "back". */
export function useOpenSandbox(): string | null {
  return sandboxOfFragment(useSyncExternalStore(listen, () => location.hash));
}
