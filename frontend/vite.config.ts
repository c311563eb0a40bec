import react from '@vitejs/plugin-react';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

import csp from './csp.json' with { type: 'json' };

/** The API that `npm run dev` talks to. */
const API = 'http://127.0.0.1:7300';

const PROXY = { '/graphql': { target: API, ws: true }, '/auth': { target: API } };

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** GraphiQL's style sheet carries fonts as data: URLs, which `font-src 'self'` refuses; ours are used instead. */
function withoutEmbeddedFonts(): Plugin {
  return {
    name: 'nestbox-without-embedded-fonts',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('/graphiql/dist/style.css')) return null;
      return code.replaceAll(/@font-face\s*\{[^}]*\}/g, '');
    },
  };
}

export default defineConfig({
  plugins: [withoutEmbeddedFonts(), react()],
  resolve: {
    alias: {
      // the only thing in GraphiQL that makes <style> elements: ours uses a constructed sheet, so that style-src stays 'self'
      'react-style-singleton': here('./src/explorer/styleSingleton.ts'),
    },
  },
  build: {
    assetsInlineLimit: 0, // nothing as data: URLs
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200, // GraphiQL with its editor, loaded by /explorer only
    rolldownOptions: {
      input: { index: here('./index.html'), explorer: here('./explorer.html') },
      onLog: (level, log, handle) => {
        // a note of one of GraphiQL's dependencies to its own compiler
        if (log.code !== 'MODULE_LEVEL_DIRECTIVE') handle(level, log);
      },
    },
  },
  server: { proxy: PROXY },
  preview: { headers: { 'Content-Security-Policy': csp.dashboard }, proxy: PROXY },
});
