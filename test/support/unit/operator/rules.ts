import { decide as emulatorBuild } from '../../../../operator/emulator-build/decide.ts';
import { decide as offsiteTune } from '../../../../operator/offsite-tune/decide.ts';
import { decide as plugIn } from '../../../../operator/plug-in/decide.ts';

/** The decision function of each kind. */
export const decisions = { EmulatorBuild: emulatorBuild, OffsiteTune: offsiteTune, PlugIn: plugIn } as const;
