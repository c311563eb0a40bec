import { useLiveQuota, type LiveQuota } from '../live/useLiveQuota';
import { mebibytes } from '../ui/format';

const COUNT = new Intl.NumberFormat();

const LINES = [
  ['sandboxes', 'Sandboxes', (amount: number) => COUNT.format(amount)],
  ['vcpus', 'vCPUs in use', (amount: number) => COUNT.format(amount)],
  ['memoryMb', 'Memory in use', mebibytes],
  ['diskMb', 'Size of disks', mebibytes],
  ['templates', 'Templates', (amount: number) => COUNT.format(amount)],
  ['operations', 'Commands under way', (amount: number) => COUNT.format(amount)],
] as const;

/** What the team has of what it may have, live. */
export function QuotaSection() {
  const { quota, problem } = useLiveQuota();
  return (
    <section className="card" aria-labelledby="quota" aria-busy={!quota && !problem}>
      <div className="card__title">
        <h2 id="quota">Quota</h2>
      </div>
      {problem && <p role="alert">{problem.message}</p>}
      {quota && (
        <dl className="quota">
          {LINES.map(([field, label, shown]) => (
            <QuotaLine key={field} label={label} line={quota[field]} shown={shown} />
          ))}
          {quota.requestsPerMinute !== null && (
            <div className="quota__line">
              <dt>Requests</dt>
              <dd>up to {COUNT.format(quota.requestsPerMinute)} a minute</dd>
            </div>
          )}
        </dl>
      )}
    </section>
  );
}

interface LineProps {
  label: string;
  line: LiveQuota['sandboxes'];
  shown: (amount: number) => string;
}

function QuotaLine({ label, line: { used, limit }, shown }: LineProps) {
  return (
    <div className="quota__line">
      <dt>{label}</dt>
      <dd>{limit === null ? shown(used) : `${shown(used)} of ${shown(limit)}`}</dd>
      {limit !== null && <meter className="quota__bar" aria-label={label} min={0} max={limit || 1} high={0.9 * limit} value={limit === 0 ? 1 : used} />}
    </div>
  );
}
