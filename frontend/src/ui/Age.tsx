import { useNow } from '../live/useNow';
import { absolute, age } from './format';

/** How long ago something was, moving by itself; the exact time on hover. */
export function Age({ since }: { since: string }) {
  return (
    <time className="age" dateTime={since} title={absolute(since)}>
      {age(since, useNow())}
    </time>
  );
}
