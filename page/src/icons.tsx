// The page's few icons, drawn with the current text colour.
import type { ReactNode } from "react";

function Icon({ children, size = 16 }: { children: ReactNode; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      {children}
    </svg>
  );
}

export const Logo = ({ size = 26 }: { size?: number }) => (
  <svg aria-hidden="true" width={size} height={size} viewBox="0 0 32 32" className="logo">
    <rect width="32" height="32" rx="9" fill="var(--accent-colour)" />
    <g fill="none" stroke="var(--on-accent)" strokeWidth="3.2" strokeLinecap="round" strokeLinejoin="round">
      <path d="M11 7v11h10" />
      <path d="M11 25v-2.4M21 25v-2.4" />
    </g>
  </svg>
);

export const PlusIcon = () => <Icon><path d="M8 3v10M3 8h10" /></Icon>;
export const PencilIcon = () => <Icon><path d="M10.5 3.2l2.3 2.3L6 12.3l-3 .7.7-3z" /></Icon>;
export const ArchiveIcon = () => <Icon><path d="M2.5 3h11v3h-11zM3.5 6v7h9V6M6.5 8.8h3" /></Icon>;
export const UnarchiveIcon = () => <Icon><path d="M2.5 3h11v3h-11zM3.5 6v7h9V6M8 11.5V8.3M6.5 9.6L8 8.1l1.5 1.5" /></Icon>;
export const TrashIcon = () => <Icon><path d="M3 4.5h10M6.3 4.5V3h3.4v1.5M4.3 4.5l.6 8.5h6.2l.6-8.5M6.8 7v3.6M9.2 7v3.6" /></Icon>;
export const CloseIcon = () => <Icon><path d="M4 4l8 8M12 4l-8 8" /></Icon>;
export const WarningIcon = () => <Icon size={18}><path d="M8 2.3l6.2 11H1.8zM8 6.5v3.2M8 11.6v.1" /></Icon>;
export const SidebarIcon = () => <Icon size={18}><path d="M2 3h12v10H2zM6 3v10" /></Icon>;
export const PanelIcon = () => <Icon size={18}><path d="M2 3h12v10H2zM10 3v10" /></Icon>;
export const CheckIcon = () => <Icon><path d="M3.2 8.5l3.2 3.2 6.4-7" /></Icon>;
export const CopyIcon = () => <Icon><path d="M5.5 5.5h7.5V13H5.5zM3 10.2V3h7.2" /></Icon>;
export const ChevronIcon = () => <Icon size={12}><path d="M6 3.5L10.5 8 6 12.5" /></Icon>;
export const HandIcon = () => <Icon size={18}><path d="M8 2l5 2v4c0 3-2.1 5-5 6-2.9-1-5-3-5-6V4zM6 8l1.5 1.5L10.3 6.6" /></Icon>;
export const PauseIcon = () => <Icon size={18}><circle cx="8" cy="8" r="6" /><path d="M6.6 6v4M9.4 6v4" /></Icon>;
