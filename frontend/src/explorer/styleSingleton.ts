import { useEffect } from 'react';

/**
 * Takes the place of `react-style-singleton`, which GraphiQL's menus and dialogs use, in the bundle (see vite.config.ts).
 * That one makes a <style> element, which the page's Content-Security-Policy refuses; a constructed style sheet does the
 * same without an exception in the policy.
 *
 * Gives a component that applies its `styles` while at least one of it is mounted.
 */
export function styleSingleton(): (props: { styles: string }) => null {
  let users = 0;
  const sheet = new CSSStyleSheet();

  return function Styles({ styles }) {
    useEffect(() => {
      sheet.replaceSync(styles);
      if (users === 0) document.adoptedStyleSheets.push(sheet);
      users += 1;
      return () => {
        users -= 1;
        if (users > 0) return;
        document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => each !== sheet);
      };
    }, [styles]);
    return null;
  };
}
