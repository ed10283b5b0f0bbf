# Makes dist\bundle\cryoscope\cryoscope.exe and a .zip of its folder. Needs Python 3.11 to 3.13 (py launcher).
# Written from PyInstaller's documentation and not run on Windows yet.
$ErrorActionPreference = "Stop"
$root = (Resolve-Path (Join-Path $PSScriptRoot "..\..")).Path
$out = Join-Path $root "dist"
$venv = Join-Path $root ".venv-bundle"
$constraints = Join-Path $root "packaging\constraints.txt"

if (-not (Test-Path "$venv\Scripts\python.exe")) { py -3 -m venv $venv }
$python = "$venv\Scripts\python.exe"
& $python -m pip install --quiet -c $constraints "$root[app,umap]" "pyinstaller>=6.10,<7"
if ($LASTEXITCODE -ne 0) { throw "the installation failed" }

New-Item -ItemType Directory -Force $out | Out-Null
& $python -c "import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2], sizes=[(16,16),(32,32),(48,48),(256,256)])" `
    "$root\resources\icons\cryoscope.png" "$out\cryoscope.ico"
& $python "$root\packaging\licences.py" cryoscope napari --out "$out\THIRD_PARTY.txt"
if ($LASTEXITCODE -ne 0) { throw "something must not be shipped as it is" }
Push-Location "$root\packaging\bundle"
& $python -m PyInstaller cryoscope.spec --noconfirm --log-level WARN --distpath "$out\bundle" --workpath "$out\bundle-work"
Pop-Location
& "$out\bundle\cryoscope\cryoscope.exe" --version
if ($LASTEXITCODE -ne 0) { throw "the bundle does not start" }
Copy-Item "$root\LICENSE", "$out\THIRD_PARTY.txt" "$out\bundle\cryoscope\"
Compress-Archive -Force -Path "$out\bundle\cryoscope" -DestinationPath "$out\cryoscope-windows.zip"
