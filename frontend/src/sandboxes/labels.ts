export interface Label {
  key: string;
  value: string;
}

/** Labels from one line of text: `team=web, tier=2`. A word without `=` is a key with an empty value; what is allowed is the server's to say. */
export function parseLabels(line: string): Label[] {
  return line
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const [key = '', ...rest] = part.split('=');
      return { key: key.trim(), value: rest.join('=').trim() };
    });
}
