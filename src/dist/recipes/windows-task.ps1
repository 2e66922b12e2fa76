# Prepares the directory of the tokens and the scheduled task, in a PowerShell started as administrator.
#
# *S-1-5-18 is SYSTEM and *S-1-5-32-544 the Administrators: Windows translates their names, but not these
# numbers. Where Notepad asks for a name, save the secret without an extension. The account needs Modify on the
# directory, which the second line grants, and the right "Log on as a batch job" (secpol.msc, Local Policies,
# User Rights Assignment).
mkdir C:\ProgramData\docusign
icacls C:\ProgramData\docusign /inheritance:r /grant:r 'DOMAIN\svc-docusign:(OI)(CI)M' '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F'
New-Item -ItemType File C:\ProgramData\docusign\client-secret, C:\ProgramData\docusign\docusign.json
icacls C:\ProgramData\docusign\client-secret /inheritance:r /grant:r 'DOMAIN\svc-docusign:R' '*S-1-5-32-544:F'
notepad C:\ProgramData\docusign\client-secret     # one line
notepad C:\ProgramData\docusign\docusign.json     # the token response
notepad docusign-refresh-task.xml                 # account, integration key, paths
schtasks /Create /TN docusign-refresh /XML docusign-refresh-task.xml
schtasks /Run /TN docusign-refresh
schtasks /Query /TN docusign-refresh /V /FO LIST
