import { paths } from '../api/paths';
import type { ConnectionState } from '../live/useLiveSandboxes';
import { Logo } from '../ui/Logo';
import type { Viewer } from './useSession';

interface Props {
  viewer: Viewer;
  /** Null on pages that watch nothing. */
  connection: ConnectionState | null;
  here: 'dashboard' | 'explorer';
  onSignOut: () => void;
}

const CONNECTION_WORDS: Record<ConnectionState, string> = {
  connecting: 'Connecting…',
  live: 'Live',
  reconnecting: 'Reconnecting…',
};

export function Header({ viewer, connection, here, onSignOut }: Props) {
  return (
    <header className="header">
      <a className="header__home" href={paths.dashboard}>
        <Logo />
      </a>
      <span className="header__team" title={`Signed in with the key “${viewer.keyName}”`}>
        <bdi>{viewer.teamName}</bdi>
      </span>
      {connection && (
        <span className={`connection connection--${connection}`} role="status">
          {CONNECTION_WORDS[connection]}
        </span>
      )}
      <nav className="header__nav" aria-label="Pages">
        <a href={paths.dashboard} aria-current={here === 'dashboard' ? 'page' : undefined}>
          Sandboxes
        </a>
        <a href={paths.explorer} aria-current={here === 'explorer' ? 'page' : undefined}>
          Explorer
        </a>
      </nav>
      <button className="button button--quiet" type="button" onClick={onSignOut}>
        Sign out
      </button>
    </header>
  );
}
