// The list of shortcuts, with the switch for those of one letter.
import { Checkbox, Kbd, Modal } from '@mantine/core';
import { SHORTCUTS } from './keys';
import { PREF, usePref } from './prefs';

export default function HelpDialog({ onClose }: { onClose: () => void }) {
  const [singleKeys, setSingleKeys] = usePref(PREF.singleKeys, true);
  return (
    <Modal opened onClose={onClose} title="Keyboard shortcuts" size="md" closeButtonProps={{ 'aria-label': 'Close' }}>
      <Checkbox
        label="Shortcuts of a single letter" checked={singleKeys} mb="sm" size="xs"
        onChange={(event) => setSingleKeys(event.currentTarget.checked)}
      />
      <dl className="shortcut-list">
        {SHORTCUTS.map(([keys, what]) => (
          <div key={keys + what}>
            <dt>{keys.split(' ').map((key) => <Kbd key={key} size="xs">{key}</Kbd>)}</dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
    </Modal>
  );
}
