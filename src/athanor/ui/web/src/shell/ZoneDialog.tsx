// Choice of any time zone that the browser knows.
import { Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import { zoneMark } from '../lib/zone';
import { useApp } from './app';

const SHOWN = 60;

export default function ZoneDialog({ onClose }: { onClose: () => void }) {
  const { setZone } = useApp();
  const [text, setText] = useState('');
  const words = text.toLowerCase().split(/[\s_/]+/).filter(Boolean);
  const zones = Intl.supportedValuesOf('timeZone').filter((zone) => words.every((word) => zone.toLowerCase().includes(word)));
  const choose = (zone: string) => {
    setZone(zone);
    onClose();
  };
  return (
    <Modal opened onClose={onClose} title="Time zone" size="sm" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (zones.length > 0) choose(zones[0]);
      }}>
        <TextInput aria-label="Filter zones" placeholder="kolkata, new york…" value={text} data-autofocus onChange={(event) => setText(event.currentTarget.value)} />
      </form>
      <ul className="zone-list">
        {zones.slice(0, SHOWN).map((zone) => (
          <li key={zone}>
            <button type="button" onClick={() => choose(zone)}>
              <span>{zone.replace(/_/g, ' ')}</span>
              <span className="muted">{zoneMark(zone, Date.now())}</span>
            </button>
          </li>
        ))}
      </ul>
      {zones.length > SHOWN && <p className="muted">{zones.length - SHOWN} more: type to narrow the list.</p>}
      {zones.length === 0 && <p className="muted">No zone has this name.</p>}
    </Modal>
  );
}
