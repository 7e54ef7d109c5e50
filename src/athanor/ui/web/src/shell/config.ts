// What the server wrote into the page, and where its API is.

export interface ServerConfig {
  pathPrefix: string;
  component: string;
  queryURL: string;
  tenantHeader: string;
  defaultTenant: string;
  displayTenantBox: string;
}

function readConfig(): ServerConfig {
  const fallback: ServerConfig = {
    pathPrefix: '', component: 'query', queryURL: '', tenantHeader: 'THANOS-TENANT', defaultTenant: 'default-tenant',
    displayTenantBox: 'none',
  };
  const text = document.querySelector('meta[name="athanor-config"]')?.getAttribute('content');
  if (!text) return fallback;
  try {
    return { ...fallback, ...(JSON.parse(text) as Partial<ServerConfig>) };
  } catch {
    return fallback;
  }
}

export const config = readConfig();

/** The path in front of `/graph` and `/api`: the announced prefix when the page is below it, else the page's own folder. */
export const basePath: string = (() => {
  const path = window.location.pathname;
  if (config.pathPrefix && (path === config.pathPrefix || path.startsWith(`${config.pathPrefix}/`))) return config.pathPrefix;
  return path.slice(0, path.lastIndexOf('/'));
})();

export function apiUrl(path: string): string {
  return `${window.location.origin}${basePath}/${path}`;
}
