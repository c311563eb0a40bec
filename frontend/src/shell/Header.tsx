import { paths } from '../api/paths';
import type { ConnectionState } from '../live/useLiveSandboxes';
import { Logo } from '../ui/Logo';
import { TeamSwitch } from './TeamSwitch';
import type { SessionControl, Viewer } from './useSession';

export type Page = 'dashboard' | 'templates' | 'team' | 'explorer';

interface Props {
  viewer: Viewer;
  /** Null on pages that watch nothing. */
  connection: ConnectionState | null;
  here: Page;
  control: SessionControl;
}

const CONNECTION_WORDS: Record<ConnectionState, string> = {
  connecting: 'Connecting…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
};

const PAGES: readonly { page: Page; name: string; path: string }[] = [
  { page: 'dashboard', name: 'Sandboxes', path: paths.dashboard },
  { page: 'templates', name: 'Templates', path: paths.templates },
  { page: 'team', name: 'Team', path: paths.team },
  { page: 'explorer', name: 'Explorer', path: paths.explorer },
];

export function Header({ viewer, connection, here, control }: Props) {
  return (
    <header className="header">
      <a className="header__home" href={paths.dashboard}>
        <Logo />
      </a>
      <TeamSwitch viewer={viewer} onSwitched={control.refresh} />
      {connection && (
        <span className={`connection connection--${connection}`} role="status">
          {CONNECTION_WORDS[connection]}
        </span>
      )}
      <nav className="header__nav" aria-label="Pages">
        {PAGES.map(({ page, name, path }) => (
          <a href={path} aria-current={here === page ? 'page' : undefined} key={page}>
            {name}
          </a>
        ))}
      </nav>
      <button className="button button--quiet" type="button" title={`Signed in as ${viewer.email ?? viewer.name}`} onClick={control.signOut}>
        Sign out
      </button>
    </header>
  );
}
