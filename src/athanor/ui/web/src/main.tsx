// Entry: theme, routes, and the boundary that catches what nobody expected.
import '@mantine/core/styles/baseline.css';
import '@mantine/core/styles/default-css-variables.css';
import '@mantine/core/styles/global.css';
import '@mantine/core/styles/ScrollArea.css';
import '@mantine/core/styles/UnstyledButton.css';
import '@mantine/core/styles/VisuallyHidden.css';
import '@mantine/core/styles/Paper.css';
import '@mantine/core/styles/Popover.css';
import '@mantine/core/styles/CloseButton.css';
import '@mantine/core/styles/Loader.css';
import '@mantine/core/styles/Overlay.css';
import '@mantine/core/styles/ModalBase.css';
import '@mantine/core/styles/Modal.css';
import '@mantine/core/styles/Input.css';
import '@mantine/core/styles/InlineInput.css';
import '@mantine/core/styles/Checkbox.css';
import '@mantine/core/styles/Kbd.css';
import '@mantine/core/styles/ActionIcon.css';
import '@mantine/core/styles/Button.css';
import '@mantine/core/styles/Menu.css';
import '@mantine/core/styles/Tabs.css';
import './styles.css';
import { createTheme, MantineProvider } from '@mantine/core';
import { Component, lazy, StrictMode, Suspense, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { AppProvider } from './shell/app';
import { config } from './shell/config';
import { useLocation } from './shell/router';
import { PageLink, Shell } from './shell/Shell';

const GraphPage = lazy(() => import('./graph/GraphPage'));
const StoresPage = lazy(() => import('./stores/StoresPage'));

const theme = createTheme({
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace',
  primaryColor: 'blue',
  defaultRadius: 'sm',
  cursorType: 'pointer',
  respectReducedMotion: true,
});

class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  state: { error: Error | null } = { error: null };

  static getDerivedStateFromError(error: Error) {
    return { error };
  }

  render() {
    if (!this.state.error) return this.props.children;
    return (
      <section className="notice state-bad" role="alert">
        <h1>This page failed</h1>
        <p>{String(this.state.error)}</p>
        <p><button type="button" onClick={() => window.location.reload()}>Load the page again</button></p>
        <details>
          <summary>Details</summary>
          <pre>{this.state.error.stack}</pre>
        </details>
      </section>
    );
  }
}

function Elsewhere({ path }: { path: string }) {
  document.title = `Not available · ${config.component} · Athanor`;
  return (
    <section className="notice">
      <h1>No page at {path}</h1>
      <p>This version has two pages: <PageLink path="/graph">Graph</PageLink> and <PageLink path="/stores">Endpoints</PageLink>.</p>
    </section>
  );
}

function Routes() {
  const { path } = useLocation();
  if (path === '/' || path === '/graph') return <GraphPage />;
  if (path === '/stores') return <StoresPage />;
  return <Elsewhere path={path} />;
}

createRoot(document.getElementById('root') as HTMLElement).render(
  <StrictMode>
    <MantineProvider theme={theme} forceColorScheme={undefined} colorSchemeManager={{
      // The theme is ours (Thanos' key and values in localStorage); Mantine only reads the attribute that we set.
      get: (fallback) => fallback, set: () => undefined, subscribe: () => undefined, unsubscribe: () => undefined, clear: () => undefined,
    }} getRootElement={() => undefined}>
      <AppProvider>
        <Shell>
          <Boundary>
            <Suspense fallback={<div className="page-loading" role="status">Loading…</div>}>
              <Routes />
            </Suspense>
          </Boundary>
        </Shell>
      </AppProvider>
    </MantineProvider>
  </StrictMode>,
);
