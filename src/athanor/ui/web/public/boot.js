// Before the first paint: the theme, so that a dark page never flashes white.
(function () {
  var theme = 'auto';
  try {
    theme = JSON.parse(localStorage.getItem('user-prefers-color-scheme') || '"auto"');
  } catch (e) {
    theme = 'auto';
  }
  var dark = theme === 'dark' || (theme !== 'light' && window.matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.setAttribute('data-mantine-color-scheme', dark ? 'dark' : 'light');
})();
