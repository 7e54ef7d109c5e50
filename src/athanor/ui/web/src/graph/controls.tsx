// Small controls of a panel: range, time, step.
import { ActionIcon, TextInput } from '@mantine/core';
import { useEffect, useState } from 'react';
import { formatDuration, parseDuration, RANGE_STEPS_MS } from '../lib/duration';
import { formatTime, parseTime, zoneMark } from '../lib/zone';
import { useApp } from '../shell/app';
import { Icon } from '../shell/icons';

const PRESETS = ['15m', '1h', '6h', '1d', '7d', '30d'] as const;

/** A field whose text is applied on Enter and on leaving; Escape takes it back. What is wrong stays, marked. */
function useCommitted(value: string, apply: (text: string) => boolean) {
  const [text, setText] = useState(value);
  const [wrong, setWrong] = useState(false);
  useEffect(() => {
    setText(value);
    setWrong(false);
  }, [value]);
  const commit = () => {
    if (text === value) {
      setWrong(false);
      return;
    }
    const good = apply(text);
    setWrong(!good);
  };
  return {
    value: text,
    'aria-invalid': wrong,
    error: wrong,
    onChange: (event: { currentTarget: { value: string } }) => setText(event.currentTarget.value),
    onBlur: commit,
    onKeyDown: (event: { key: string }) => {
      if (event.key === 'Enter') commit();
      if (event.key === 'Escape') setText(value);
    },
  };
}

export function widerRange(rangeMs: number): number {
  return RANGE_STEPS_MS.find((ms) => ms > rangeMs) ?? rangeMs;
}

export function narrowerRange(rangeMs: number): number {
  return [...RANGE_STEPS_MS].reverse().find((ms) => ms < rangeMs) ?? rangeMs;
}

export function RangeControl({ rangeMs, onChange }: { rangeMs: number; onChange: (rangeMs: number) => void }) {
  const field = useCommitted(formatDuration(rangeMs), (text) => {
    const ms = parseDuration(text);
    if (ms === null) return false;
    onChange(ms);
    return true;
  });
  return (
    <div className="control-row">
      <div className="joined" role="group" aria-label="Range">
        <ActionIcon variant="default" size={28} aria-label="Narrower range" title="Narrower (=)" onClick={() => onChange(narrowerRange(rangeMs))}><Icon name="minus" size={14} /></ActionIcon>
        <TextInput {...field} size="xs" aria-label="Range" className="range-field" />
        <ActionIcon variant="default" size={28} aria-label="Wider range" title="Wider (-)" onClick={() => onChange(widerRange(rangeMs))}><Icon name="plus" size={14} /></ActionIcon>
      </div>
      <div className="presets" role="group" aria-label="Range presets">
        {PRESETS.map((text) => {
          const ms = parseDuration(text) as number;
          return <button key={text} type="button" aria-pressed={ms === rangeMs} onClick={() => onChange(ms)}>{text}</button>;
        })}
      </div>
    </div>
  );
}

interface TimeProps {
  label: string;
  endMs: number | null;
  rangeMs: number;
  onChange: (endMs: number | null) => void;
}

export function TimeControl({ label, endMs, rangeMs, onChange }: TimeProps) {
  const { zone } = useApp();
  const field = useCommitted(endMs === null ? '' : formatTime(zone, endMs), (text) => {
    if (text.trim() === '' || text.trim() === 'now') {
      onChange(null);
      return true;
    }
    const ms = parseTime(text, zone, Date.now(), parseDuration);
    if (ms === null) return false;
    onChange(ms);
    return true;
  });
  const move = (by: number) => {
    const next = (endMs ?? Date.now()) + by * (rangeMs / 2);
    onChange(Math.round(next / 1000) * 1000);
  };
  return (
    <div className="joined" role="group" aria-label={label}>
      <ActionIcon variant="default" size={28} aria-label="Earlier" title="Earlier by half the range ([)" onClick={() => move(-1)}><Icon name="left" size={14} /></ActionIcon>
      <TextInput
        {...field} size="xs" className="time-field" aria-label={`${label} (${zoneMark(zone, endMs ?? Date.now())})`} placeholder="now"
        title="YYYY-MM-DD HH:MM:SS, ISO 8601, Unix seconds, or now-1h"
        rightSection={endMs !== null ? (
          <button type="button" className="clear-button" aria-label="Back to now" title="Back to now" onClick={() => onChange(null)}><Icon name="close" size={12} /></button>
        ) : <span className="zone-mark">{zoneMark(zone, Date.now())}</span>}
      />
      <ActionIcon variant="default" size={28} aria-label="Later" title="Later by half the range (])" onClick={() => move(1)}><Icon name="right" size={14} /></ActionIcon>
    </div>
  );
}

export function StepControl({ stepS, autoS, onChange }: { stepS: number | null; autoS: number; onChange: (stepS: number | null) => void }) {
  const field = useCommitted(stepS === null ? '' : formatDuration(stepS * 1000), (text) => {
    const trimmed = text.trim();
    if (trimmed === '' || trimmed === 'auto') {
      onChange(null);
      return true;
    }
    const seconds = /^\d+$/.test(trimmed) ? Number(trimmed) : (parseDuration(trimmed) ?? 0) / 1000;
    if (seconds < 1) return false;
    onChange(Math.round(seconds));
    return true;
  });
  return (
    <TextInput
      {...field} size="xs" className="step-field" aria-label="Resolution (step)" placeholder={`auto (${formatDuration(autoS * 1000)})`}
      leftSection={<span className="field-mark">step</span>} leftSectionWidth={38} title="Resolution: seconds or a duration; empty is automatic"
    />
  );
}
