const KEY = 'nestbox.key';

/** The API key between reloads of this tab. Session storage only: it leaves with the tab and never enters an address. */
export const storedKey = {
  read: (): string | null => sessionStorage.getItem(KEY),
  write: (key: string): void => {
    sessionStorage.setItem(KEY, key);
  },
  clear: (): void => {
    sessionStorage.removeItem(KEY);
  },
};
