"""The real programs that Athanor works beside: found on the machine, else taken from Debian's archive.

A package is unpacked into ``.tools/`` and not installed: that needs no root, leaves the system as it is and starts no
service. ``python -m demo.programs prometheus victoria-metrics`` fetches what is missing and prints where things are;
it ends with 0 also where a program cannot be had, because everything that uses one says what it does without it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "victoria-metrics": "victoria-metrics",
    "vmctl": "victoria-metrics",
}
APT_TIMEOUT_S = 300
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def find(name: str) -> Path | None:
    """The program, on PATH or unpacked before; None where it is not there."""
    path = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), str(TOOLS / "usr/bin")]))
    return Path(path) if path else None


def find_or_fetch(name: str) -> Path | None:
    """The program, fetched where it is missing and apt can reach an archive."""
    return find(name) or (find(name) if fetch(PACKAGES[name]) is None else None)


def fetch(package: str) -> str | None:
    """Unpacks a Debian package below ``.tools``. Returns None, or why it could not be done."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return "this machine has no apt"
    state = TOOLS / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "packages"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    options = ["-o", f"Dir::State::Lists={state}/lists", "-o", f"Dir::Cache={state}/cache", "-o", "APT::Sandbox::User="]
    try:
        for command in (["update", "-qq"], ["download", "-qq", package]):
            subprocess.run(
                ["apt-get", *options, *command],
                cwd=state / "packages",
                check=True,
                capture_output=True,
                text=True,
                timeout=APT_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        (archive,) = (state / "packages").glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", archive, TOOLS], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        return f"{' '.join(map(str, error.cmd[:1]))} failed: {(error.stderr or '').strip()[-300:] or error.returncode}"
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return str(error)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    return None


def how_to_get(name: str) -> str:
    """One line for people."""
    return (
        f"{name} was not found: install Debian's package ('apt install {PACKAGES[name]}') or put the project's own "
        f"release binary on PATH"
    )


def install_chromium() -> str | None:
    """Installs the browser of the UI tests where this user may. Returns None, or why it could not be done."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return "installing it needs apt and root"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", "chromium"]):
        ended = subprocess.run(
            ["apt-get", *command],
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if ended.returncode != 0:
            return f"apt-get {command[0]} failed: {ended.stderr.strip()[-300:]}"
    return None


def _ensure(name: str) -> str:
    if name == "chromium":
        found = next((path for path in map(shutil.which, CHROMIUM) if path), None)
        if found is None and (why := install_chromium()) is not None:
            return f"chromium: not available ({why}); the browser tests are skipped"
        return f"chromium: {found or shutil.which('chromium')}"
    path = find(name)
    if path is None and (why := fetch(PACKAGES[name])) is not None:
        return f"{name}: not available ({why}); what needs it is skipped"
    return f"{name}: {path or find(name)}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m demo.programs", description="Fetch the real programs.")
    parser.add_argument("names", nargs="+", choices=[*PACKAGES, "chromium"])
    for name in parser.parse_args(arguments).names:
        print(_ensure(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
