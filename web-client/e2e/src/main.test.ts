/** Every suite in one process, one after the other, on the same programs. */

import { after } from 'node:test';
import { stopSharedPrograms } from './harness/scenario.js';
import './tests/catalogue.js';
import './tests/titles.js';
import './tests/hands.js';
import './tests/touch.js';
import './tests/outage.js';
import './tests/reports.js';
import './tests/detours.js';
import './tests/measuring.js';
import './tests/fleet.js';
import './tests/accounts.js';
import './tests/webhooks.js';
import './tests/sign-in.js';
import './tests/money.js';
import './tests/endings.js';
import './tests/receipts.js';
import './tests/doors.js';
import './tests/doom.js';
import './tests/saves.js';
import './tests/programs.js';
import './tests/manifests.js';
import './tests/misbehaving.js';
import './tests/pausing.js';
import './tests/side-by-side.js';
import './tests/windows.js';
import './tests/sound.js';
import './tests/quality.js';
import './tests/codecs.js';
import './tests/hdr.js';
import './tests/devices.js';
import './tests/accessibility.js';

after(stopSharedPrograms, { timeout: 30_000 });
